SCAN_KIND(CUMSUM, "cumsum")
SCAN_KIND(CUMMAX, "cummax")
