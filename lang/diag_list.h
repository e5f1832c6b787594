/* Every diagnostic: code, severity, what it is about. E0xx syntax and files, E1xx names, indices and types,
 * E2xx subscripts, E3xx recurrences, E4xx composition, E5xx signature and declarations. */
DIAG(E001, SEVERITY_ERROR, "unexpected token")
