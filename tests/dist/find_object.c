/* What gcc's unwinder, as Debian builds it for glibc, needs to work with musl.
 *
 * It asks glibc where a program's unwind tables are; musl has no such function. A static program is
 * one object, so that any address has the same answer.
 *
 * It names the functions of threads weakly and calls them unasked, because glibc always has them. A
 * weak name alone takes nothing out of musl's archive: the first panic would call address 0. */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stddef.h>

__attribute__((used)) static void *const threads[] = {
    (void *)pthread_once,        (void *)pthread_key_create,  (void *)pthread_getspecific,
    (void *)pthread_setspecific, (void *)pthread_mutex_lock,  (void *)pthread_mutex_unlock,
};

/* As in glibc's <bits/dl_find_object.h>; the unwinder reads `eh_frame` alone. */
struct dl_find_object {
    unsigned long long int flags;
    void *map_start;
    void *map_end;
    void *link_map;
    void *eh_frame;
    unsigned long long int reserved[7];
};

static int find_eh_frame(struct dl_phdr_info *info, size_t size, void *data) {
    struct dl_find_object *result = data;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME) {
            result->eh_frame = (void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
            return 1;
        }
    }
    return 0;
}

int _dl_find_object(void *address, struct dl_find_object *result) {
    (void)address;
    return dl_iterate_phdr(find_eh_frame, result) == 1 ? 0 : -1;
}
