#include "check.h"
void check_safety(Checker *k) { (void)k; }
Value call_pattern(const Env *e, const Ast *a, const Global *g, const AstName *m) { (void)m; (void)g; return fail(e, NULL, E102, a->span, "calls of patterns are not there yet"); }
Inferred infer_pattern_call(const Env *e, const Ast *a, const Global *g, const AstName *m) { (void)e; (void)a; (void)g; (void)m; return (Inferred){set_empty(e->k->c), -1}; }
