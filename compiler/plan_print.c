/* Printer and verifier of plans. */
#include "plan_internal.h"

static void print_dims(Text *out, unsigned n, Index *const *dims)
{
    text_add(out, "[");
    for (unsigned k = 0; k < n; k++) text_add(out, "%s%s", k ? ", " : "", dims[k]->name);
    text_add(out, "]");
}

static void print_equation(Text *out, const Equation *e, unsigned indent)
{
    text_add(out, "%*s%s", (int)indent, "", e->tensor->name);
    print_dims(out, e->tensor->n_dims, e->tensor->dims);
    text_add(out, " = ");
    node_print(out, e->body);
    if (e->storing == STATE) text_add(out, "   # the last %u steps", e->depth);
    text_add(out, "\n");
}

static void print_stage(Text *out, const Stage *s, unsigned indent)
{
    text_add(out, "%*s%s", (int)indent, "", stage_name(s->kind));
    if (indent == 0) {
        text_add(out, " tasks ");
        print_dims(out, s->n_tasks, s->tasks);
    }
    if (s->axis) text_add(out, " along %s%s", s->axis->name, s->step < 0 ? " downwards" : "");
    text_add(out, "\n");
    if (s->equation) print_equation(out, s->equation, indent + 4);
    for (uint32_t k = 0; k < s->steps.n; k++) print_stage(out, s->steps.at[k], indent + 4);
    if (s->after.n) text_add(out, "%*safter the last step\n", (int)indent + 2, "");
    for (uint32_t k = 0; k < s->after.n; k++) print_stage(out, s->after.at[k], indent + 4);
}

const char *plan_print(Compilation *c, const Plan *p)
{
    Text out = {.c = c};
    text_add(&out, "plan %s\n", p->graph->pattern->name);
    for (uint32_t k = 0; k < p->equations.n; k++) {
        static const char *const how[] = {[INLINED] = "inlined", [STORED] = "stored", [STATE] = "state"};
        const Equation *e = p->equations.at[k];
        text_add(&out, "  %s %s: %s\n", e->tensor->name, how[e->storing], reason_text(e->reason));
    }
    for (uint32_t k = 0; k < p->stages.n; k++) print_stage(&out, p->stages.at[k], 0);
    return out.at;
}

typedef struct Verify {
    const Plan *p;
    const Stage *stage;
    const char *wrong;
} Verify;

static void verify_read(void *context, Node *n, const Binding *around)
{
    (void)around;
    Verify *v = context;
    if (n->op != N_READ || v->wrong) return;
    const Equation *e = plan_equation(v->p, n->tensor);
    if (!e) {
        if (n->tensor->body) v->wrong = format(v->p->c, "'%s' is read but not planned", n->tensor->name);
    } else if (e->storing == INLINED)
        v->wrong = format(v->p->c, "'%s' is read although it is inlined", n->tensor->name);
    else if (e->storing == STATE && e->stage != v->stage)
        v->wrong = format(v->p->c, "the state '%s' is read outside of its recurrence", n->tensor->name);
}

const char *plan_verify(Compilation *c, const Plan *p)
{
    Verify v = {.p = p};
    for (uint32_t k = 0; k < p->equations.n && !v.wrong; k++) {
        const Equation *e = p->equations.at[k];
        if (e->storing == INLINED) continue;
        if (!e->stage) return format(c, "no stage computes '%s'", e->tensor->name);
        v.stage = e->stage;
        walk(c, e->body, verify_read, &v);
    }
    return v.wrong;
}
