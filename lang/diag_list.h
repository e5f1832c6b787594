/* Every diagnostic: code, severity, what it is about, and the way out that is told where the place knows no
 * better one ("": none). E0xx syntax and files, E1xx names, indices and types,
 * E2xx subscripts, E3xx recurrences, E4xx composition, E5xx signature and declarations; W warnings, P performance. */
DIAG(E001, SEVERITY_ERROR, "unexpected token",
     "")
DIAG(E002, SEVERITY_ERROR, "a character that the language does not use",
     "save the file as UTF-8 text; operators are ASCII, and names are letters, digits and `_`")
DIAG(E003, SEVERITY_ERROR, "badly written number",
     "numbers are decimal: `12`, `0.5`, `1.0`, `1e-5`")
DIAG(E004, SEVERITY_ERROR, "bracket without its partner",
     "remove this bracket, or write its partner")
DIAG(E005, SEVERITY_ERROR, "reserved word as a name",
     "choose another name, or put `_` at its end")
DIAG(E006, SEVERITY_ERROR, "unterminated string",
     "close it on its line; strings stand after `use` alone")
DIAG(E007, SEVERITY_ERROR, "operator of another language",
     "the operators are `+ - * / // % ** == != < <= > >= | ^ & << >> and or not`")
DIAG(E008, SEVERITY_ERROR, "nested too deeply",
     "define parts of it by equations of their own")
DIAG(E009, SEVERITY_ERROR, "file too large",
     "split it, and bring the parts together by `use`")
DIAG(E010, SEVERITY_ERROR, "too many errors",
     "mend the first ones: later errors often follow from them")
DIAG(E011, SEVERITY_ERROR, "unknown type",
     "the types are float, f64, f32, f16, bf16, int and bool")
DIAG(E012, SEVERITY_ERROR, "bad parameter",
     "write `NAME: int`, `NAME: float` or `NAME: bool`, and a default by `= ...`")
DIAG(E013, SEVERITY_ERROR, "clause given twice",
     "join the two into one")
DIAG(E014, SEVERITY_ERROR, "misplaced where",
     "`where` stands in the brackets of a reduction, behind its argument: `sum[j](x where c)`")
DIAG(E015, SEVERITY_ERROR, "brackets that should hold index names",
     "square brackets behind a reduction hold names of indices: `sum[i, j](x)`")
DIAG(E016, SEVERITY_ERROR, "positional and named mixed",
     "either all by position, `q[i, d]`, or some by name, `q[d = 0]`")
DIAG(E017, SEVERITY_ERROR, "range of a type that has none",
     "write `: int in lo..hi`; hi is excluded")
DIAG(E018, SEVERITY_ERROR, "bad flatten or join",
     "`index t: flatten(y, x)`, `index u: join(c, j)`")
DIAG(E019, SEVERITY_ERROR, "name too long",
     "choose a shorter name")
DIAG(E101, SEVERITY_ERROR, "unknown name",
     "define it by an equation, or add it to the signature: a parameter, an input, or `with NAME[...]`")
DIAG(E102, SEVERITY_ERROR, "unknown function or pattern",
     "define it by `fn` or `mask`, or bring in the file that does by `use`")
DIAG(E103, SEVERITY_ERROR, "not an index",
     "indices come from the tensors of the signature, or are declared: `index r: 8`")
DIAG(E104, SEVERITY_ERROR, "wrong type",
     "`int(x)`, `float(x)` and comparisons convert; nothing else does, except ints to floats")
DIAG(E105, SEVERITY_ERROR, "wrong number of arguments",
     "values stand in ( ), separated by commas; names of indices in [ ]")
DIAG(E106, SEVERITY_ERROR, "index bound twice in one pair of brackets",
     "declare another name for its positions: `index i2 like i`")
DIAG(E107, SEVERITY_ERROR, "right side depends on an index that the left side lacks",
     "reduce over it, or add it to the left side")
DIAG(E108, SEVERITY_ERROR, "a flattened index mixed with its axes",
     "write the left side out, to say which of them it is over")
DIAG(E109, SEVERITY_ERROR, "positional subscripts without a written order",
     "name the indices: `s[i = 0]`, or write the left side out where it is defined")
DIAG(E110, SEVERITY_ERROR, "wrong number of subscripts",
     "give one for each dimension, or name those that change: `q[i = 0]`")
DIAG(E111, SEVERITY_ERROR, "subscript names an index that the tensor lacks",
     "name an index that it has")
DIAG(E112, SEVERITY_ERROR, "what cannot be subscripted",
     "give the expression a name by an equation, and subscript that")
DIAG(E113, SEVERITY_ERROR, "operation along the wrong number of indices",
     "`cumsum[j](x)` runs along one index; `top_index[j -> r](x, n)` and `positions` make a new one")
DIAG(E114, SEVERITY_ERROR, "argument depends on what the operation binds",
     "reduce over it first, or read it at one position: `x[j = 0]`")
DIAG(E115, SEVERITY_ERROR, "unknown option",
     "`softmax[j](x where c, sink = a)` is the only form that has an option")
DIAG(E116, SEVERITY_ERROR, "not a block of that index",
     "declare it: `block c of j by 64`")
DIAG(E117, SEVERITY_ERROR, "join that does not fit its index",
     "`join[u](x, y)` takes a value for each part of `index u: join(c, j)`; conditions go around it")
DIAG(E118, SEVERITY_ERROR, "pattern too large",
     "give parts of it names, or split it into several patterns")
DIAG(E119, SEVERITY_ERROR, "name of another kind",
     "name the mask by an equation, `keep = ...`, and write `count(keep)`")
DIAG(E120, SEVERITY_ERROR, "not a scalar of extents and parameters",
     "use sizes, parameters and numbers")
DIAG(E121, SEVERITY_ERROR, "condition that can never hold",
     "change the condition, or the parameter that makes it false")
DIAG(E122, SEVERITY_ERROR, "number beyond 64 bits",
     "ints are from -2**63 to 2**63 - 1: use smaller numbers, or floats (`2.0`)")
DIAG(E201, SEVERITY_ERROR, "subscript out of range",
     "keep it in range by `where` or `if`, clamp it, or give a default by `pad(x[...], 0)`")
DIAG(E301, SEVERITY_ERROR, "cycle without an earlier step",
     "a recurrence reads an earlier step: `S[t] = ... S[t - 1] ...`")
DIAG(E302, SEVERITY_ERROR, "no single index of a recurrence",
     "say which: `S[t] = ...`")
DIAG(E303, SEVERITY_ERROR, "recurrence over several indices",
     "flatten them: `index t: flatten(y, x)`")
DIAG(E304, SEVERITY_ERROR, "recurrence in both directions",
     "read earlier steps alone, or later ones alone; two scans can follow each other")
DIAG(E305, SEVERITY_ERROR, "bad state before the first step",
     "`S[-1] = ...`, or `S[size(t)] = ...` of a backward scan, without t on its right side")
DIAG(E306, SEVERITY_ERROR, "bad carry",
     "`carry` names recurrences of this pattern, `S[t] = ... S[t - 1] ...`, each once")
DIAG(E307, SEVERITY_ERROR, "literal position of an index with an origin",
     "write `S[first(t) - 1]`")
DIAG(E401, SEVERITY_ERROR, "argument missing",
     "inputs are passed by position, captures and parameters by name")
DIAG(E402, SEVERITY_ERROR, "unknown argument",
     "pass what it takes, each once: inputs by position, captures and parameters by name")
DIAG(E403, SEVERITY_ERROR, "dimensions that do not match",
     "dimensions match by position from the last; rename others: `row(q, x = y)`")
DIAG(E404, SEVERITY_ERROR, "which output is not said",
     "say which: `pattern(...).o`")
DIAG(E405, SEVERITY_ERROR, "unknown output",
     "`pattern(...).o` picks an output")
DIAG(E406, SEVERITY_ERROR, "pattern or function that calls itself",
     "a recurrence is written by an equation: `S[t] = ... S[t - 1] ...`")
DIAG(E407, SEVERITY_ERROR, "parameter that depends on data",
     "pass a parameter, a size or a number")
DIAG(E501, SEVERITY_ERROR, "name defined twice",
     "choose another name, or remove one of the two")
DIAG(E502, SEVERITY_ERROR, "output without an equation",
     "define it: `NAME = ...`")
DIAG(E503, SEVERITY_ERROR, "equation for what is given",
     "choose another name for what is computed")
DIAG(E504, SEVERITY_ERROR, "index without an extent",
     "declare it: `index r: ...`")
DIAG(E505, SEVERITY_ERROR, "bad declaration of an index",
     "declarations: `index r: 2 * size(d)`, `index m like j`, `index i from base[b]`, `block c of j by 64`")
DIAG(E506, SEVERITY_ERROR, "bad example",
     "an example gives numbers for indices and parameters, and numbers or distributions for inputs, each once")
DIAG(E507, SEVERITY_ERROR, "bad left side",
     "`s = ...`, `s[i, j] = ...` with all its indices, or `S[t] = ...` for a recurrence")
DIAG(E508, SEVERITY_ERROR, "bad definition of a parameter",
     "defaults are made of literals and earlier defaults; `-D NAME=VALUE` takes a value of its type")
DIAG(E509, SEVERITY_ERROR, "bad type",
     "a left side may state `: float`, `: int in lo..hi` or `: bool`")
DIAG(E510, SEVERITY_ERROR, "file that cannot be used",
     "it is looked for beside this file, in the folders given by -I, and in the installed library")
DIAG(W001, SEVERITY_WARNING, "equation that no output needs",
     "remove it, or begin its name with `_`")
DIAG(W002, SEVERITY_WARNING, "parameter without effect",
     "use it in the body, remove it, or begin its name with `_`")
DIAG(W003, SEVERITY_WARNING, "index that is never used",
     "remove its declaration, or begin its name with `_`")
DIAG(W004, SEVERITY_WARNING, "input that is never read",
     "remove it from the signature, or begin its name with `_`")
DIAG(W005, SEVERITY_WARNING, "condition that always holds",
     "leave it out; in an equation whose name begins with `_` it is not looked at")
DIAG(W006, SEVERITY_WARNING, "condition that never holds",
     "compare its two sides: `j <= i` sees the past; in an equation whose name begins with `_` it is not looked at")
DIAG(W007, SEVERITY_WARNING, "names that look alike",
     "rename one of them, or begin its name with `_`")
DIAG(W008, SEVERITY_WARNING, "argument or definition of a function that is never used",
     "remove it, or begin its name with `_`")
DIAG(W009, SEVERITY_WARNING, "file from which nothing is used",
     "remove the `use`")
DIAG(P001, SEVERITY_PERFORMANCE, "mask that no block escapes",
     "compare positions, sizes, parameters or int tensors where that says the same")
DIAG(P002, SEVERITY_PERFORMANCE, "pairwise stage as plain loops",
     "let the last index of the output that is not summed away count queries")
DIAG(P003, SEVERITY_PERFORMANCE, "gathers in the inner loop",
     "let the last dimension run along the queries: `bias[key, query]`")
DIAG(P004, SEVERITY_PERFORMANCE, "large intermediate",
     "what one sum alone reads, at its own indices, is never stored")
