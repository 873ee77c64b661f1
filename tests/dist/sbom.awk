# Writes a CycloneDX 1.5 bill of materials. Reads Cargo.lock (for checksums), then lines of
# `cargo tree --prefix depth --no-dedupe --format '{p} | {l}'`: "0confab v0.1.0 (/path) | MIT".
# Set with -v: program, target, timestamp, further (lines of "name|version|license|purl").
function text(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); return "\"" s "\"" }
function component(kind, name, version, license, purl, checksum, indent, s) {
    # Cargo allowed "/" for OR; the form of licences does not.
    gsub(/\//, " OR ", license)
    s = indent "{\n" indent "  \"type\": " text(kind) ",\n"
    s = s indent "  \"bom-ref\": " text(purl) ",\n"
    s = s indent "  \"name\": " text(name) ",\n" indent "  \"version\": " text(version) ",\n"
    if (checksum != "")
        s = s indent "  \"hashes\": [{ \"alg\": \"SHA-256\", \"content\": " text(checksum) " }],\n"
    if (license != "")
        s = s indent "  \"licenses\": [{ \"expression\": " text(license) " }],\n"
    return s indent "  \"purl\": " text(purl) "\n" indent "}"
}
FILENAME ~ /Cargo\.lock$/ {
    value = $3
    gsub(/"/, "", value)
    if ($1 == "name") lock_name = value
    if ($1 == "version") lock_version = value
    if ($1 == "checksum") checksums[lock_name "@" lock_version] = value
    next
}
{
    split($0, halves, " [|] ")
    split(halves[1], words, " ")
    match(words[1], /^[0-9]+/)
    depth = substr(words[1], 1, RLENGTH) + 0
    name = substr(words[1], RLENGTH + 1)
    version = substr(words[2], 2)
    ref = "pkg:cargo/" name "@" version
    at[depth] = ref
    if (depth == 0) { root = ref; root_version = version; root_license = halves[2] }
    if (!(ref in seen)) {
        seen[ref] = 1
        order[++n] = ref
        if (depth > 0)
            parts[++n_parts] = component("library", name, version, halves[2], ref, \
                                         checksums[name "@" version], "    ")
    }
    if (depth > 0 && !((at[depth - 1], ref) in edges)) {
        edges[at[depth - 1], ref] = 1
        uses[at[depth - 1]] = uses[at[depth - 1]] (uses[at[depth - 1]] == "" ? "" : ", ") text(ref)
    }
}
END {
    n_further = split(further, rows, "\n")
    for (i = 1; i <= n_further; i++) {
        if (rows[i] == "") continue
        split(rows[i], f, "|")
        parts[++n_parts] = component("library", f[1], f[2], f[3], f[4], "", "    ")
        order[++n] = f[4]
        uses[root] = uses[root] (uses[root] == "" ? "" : ", ") text(f[4])
    }
    print "{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.5\",\n  \"version\": 1,"
    print "  \"metadata\": {\n    \"timestamp\": " text(timestamp) ","
    print "    \"properties\": [{ \"name\": \"target\", \"value\": " text(target) " }],"
    root_json = component("application", program, root_version, root_license, root, "", "    ")
    print "    \"component\": " substr(root_json, 5) "\n  },\n  \"components\": ["
    for (i = 1; i <= n_parts; i++) print parts[i] (i < n_parts ? "," : "")
    print "  ],\n  \"dependencies\": ["
    for (i = 1; i <= n; i++)
        print "    { \"ref\": " text(order[i]) ", \"dependsOn\": [" uses[order[i]] "] }" \
            (i < n ? "," : "")
    print "  ]\n}"
}
