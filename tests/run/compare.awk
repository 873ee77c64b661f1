# compare.awk ORIGINAL STORED: every line of the one is the same line of the other, apart from
# [REDACTED:...]. Prints "LINES REDACTED" or, with status 1, the first difference.

function same(original, stored,    n, parts, i, at) {
    if (original == stored) return 1
    n = split(stored, parts, /\[REDACTED:[A-Za-z0-9_-]*\]/)
    if (n < 2 || substr(original, 1, length(parts[1])) != parts[1]) return 0
    original = substr(original, length(parts[1]) + 1)
    at = length(original) - length(parts[n])
    if (at < 0 || substr(original, at + 1) != parts[n]) return 0
    original = substr(original, 1, at)
    for (i = 2; i < n; i++) {
        if (parts[i] == "") continue
        at = index(original, parts[i])
        if (!at) return 0
        original = substr(original, at + length(parts[i]))
    }
    redacted++
    return 1
}

{ sub(/\r$/, "") }
FILENAME == ARGV[1] { lines[++expected] = $0; next }
{
    found++
    if (found > expected || !same(lines[found], $0)) {
        print "line " found " differs"
        failed = 1
        exit 1
    }
}
END {
    if (failed) exit 1
    if (found != expected) {
        print found + 0 " lines instead of " expected + 0
        exit 1
    }
    print expected + 0, redacted + 0
}
