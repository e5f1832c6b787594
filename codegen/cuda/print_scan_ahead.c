/* Recurrences: what comes ahead of the steps that need it, what is stored after some steps (print_scan.h). */
#include <string.h>

#include "codegen/cuda/print_scan.h"
#include "compiler/graph.h"

/* ---- values ahead ---- */

void scan_declare_ahead(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    for (unsigned k = 0; k < r->n_early; k++) {
        const Early *e = &r->early[k];
        if (!e->axis) continue;
        unsigned n = e->row ? (unsigned)r->n_rows : r->width;
        const char *rows = e->row || e->column ? format(p->c, "[%u]", n) : "";
        LINES(p, "__shared__ __align__(16) %s %s[%u]%s;", print_type(p, e->value), x->early[k], r->steps,
              rows);
    }
}

static bool is_fetched(const ScanPrinter *x, const Node *n)
{
    for (uint32_t k = 0; k < x->reads.n; k++)
        if (x->reads.at[k] == n) return true;
    return false;
}

/* Reads that do not stand in subscripts of others. */
static void collect_reads(Printer *p, Node *n)
{
    ScanPrinter *x = p->scan;
    if (n->op == N_READ && !n->tensor->optional) {
        if (!is_fetched(x, n)) PUSH(p->c, &x->reads, n);
        return;
    }
    for (unsigned k = 0; k < n->n_args; k++) collect_reads(p, n->args[k]);
}

/* Values ahead are over rows, over columns, or over steps alone. */
static unsigned kind_of(const Early *e) { return e->row ? 0 : e->column ? 1 : 2; }

static unsigned count_of(const Recurrence *r, unsigned kind)
{
    return r->steps * (kind == 0 ? (unsigned)r->n_rows : kind == 1 ? r->width : 1);
}

static bool has_kind(const Printer *p, unsigned kind)
{
    const Recurrence *r = p->scan->r;
    for (unsigned k = 0; k < r->n_early; k++)
        if (r->early[k].axis && kind_of(&r->early[k]) == kind) return true;
    return false;
}

typedef struct FindNode {
    const Node *node;
    bool found;
} FindNode;

static void find_node(void *context, const Node *n)
{
    FindNode *f = context;
    f->found = f->found || n == f->node;
}

/* Does a value of the kind need the read? */
static bool is_needed(const Printer *p, const Node *read, unsigned kind)
{
    const Recurrence *r = p->scan->r;
    FindNode f = {read, false};
    for (unsigned k = 0; k < r->n_early; k++)
        if (r->early[k].axis && kind_of(&r->early[k]) == kind)
            node_visit(p->c, r->early[k].value, find_node, &f);
    return f.found;
}

void scan_declare_fetched(Printer *p)
{
    ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    for (unsigned k = 0; k < r->n_early; k++)
        if (r->early[k].axis) collect_reads(p, r->early[k].value);
    x->fetched = NEW_ARRAY(p->c, const char *, 3 * x->reads.n + 1);
    for (uint32_t k = 0; k < x->reads.n; k++)
        for (unsigned kind = 0; kind < 3; kind++) {
            if (!is_needed(p, x->reads.at[k], kind)) continue;
            unsigned n = (count_of(r, kind) + r->threads - 1) / r->threads;
            const char *name = name_new(p->c, &p->own, format(p->c, "%s_next", x->reads.at[k]->tensor->name));
            x->fetched[3 * k + kind] = n > 1 ? format(p->c, "%s[%s]", name, x->at) : name;
            LINES(p, "%s %s%s;", print_type(p, x->reads.at[k]), name, n > 1 ? format(p->c, "[%u]", n) : "");
        }
}

/* Every thread has some of the elements of the steps from `first` on. */
static void scan_ahead_open(Printer *p, unsigned kind, const char *first)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    unsigned count = count_of(r, kind), n = (count + r->threads - 1) / r->threads, wide = count / r->steps;
    const char *place = "threadIdx.x";
    if (n > 1) {
        LINES(p, "#pragma unroll\nfor (int %s = 0; %s < %u; %s++) {", x->at, x->at, n, x->at);
        place = format(p->c, "(threadIdx.x + %s * %u)", x->at, r->threads);
    } else
        LINES(p, "{");
    LINES(p, "const int %s = %s%s;", x->step, place, wide > 1 ? format(p->c, " / %u", wide) : "");
    if (kind == 0) {
        LINES(p, "const int %s = %s %% %u;", x->row, place, wide);
        scan_bind(p, r->row, x->row);
    }
    if (kind == 1) {
        LINES(p, "const int %s = %s %% %u;", x->column, place, wide);
        const char *e = format(p->c, "%s * %u + %s", p->indices[r->block->id], r->width, x->column);
        if (x->live) e = format(p->c, "least(%s, %s - 1)", e, print_extent(p, r->column));
        LINES(p, "const int64 %s = %s;", p->indices[r->column->id], e);
    }
    const char *size = print_extent(p, r->axis);
    LINES(p, "const int64 %s = %s%s + %s;", x->axis, r->down ? format(p->c, "%s - 1 - (", size) : "", first,
          r->down ? format(p->c, "%s)", x->step) : x->step);
    const char *enough = count % r->threads ? format(p->c, "%s < %u && ", x->step, r->steps) : "";
    if (r->down)
        LINES(p, "if (%s%s >= 0) {", enough, x->axis);
    else
        LINES(p, "if (%s%s < %s) {", enough, x->axis, size);
}

static void print_ahead_close(Printer *p)
{
    const Recurrence *r = p->scan->r;
    LINES(p, "}\n}");
    if (r->row) set_remove(&p->bound, r->row->id);
}

void scan_fetch(Printer *p)
{
    const ScanPrinter *x = p->scan;
    for (unsigned kind = 0; kind < 3; kind++) {
        if (!has_kind(p, kind)) continue;
        bool some = false;
        for (uint32_t k = 0; k < x->reads.n; k++) some = some || x->fetched[3 * k + kind];
        if (!some) continue;
        scan_ahead_open(p, kind, x->next);
        for (uint32_t k = 0; k < x->reads.n; k++) {
            Node *n = x->reads.at[k];
            if (x->fetched[3 * k + kind])
                print_value(p, format(p->c, "%s = ", x->fetched[3 * k + kind]), n, print_type(p, n), ";");
        }
        print_ahead_close(p);
    }
}

const char *scan_place_now(Printer *p, unsigned k)
{
    const ScanPrinter *x = p->scan;
    return x->r->early[k].row && x->r->rows > 1 ? format(p->c, "%s[%s]", x->now[k], x->round) : x->now[k];
}

const char *scan_place_own(Printer *p, unsigned k)
{
    const ScanPrinter *x = p->scan;
    const Early *e = &x->r->early[k];
    const char *name = x->early[k];
    if (e->column && x->r->columns > 1) name = format(p->c, "%s[%s]", name, x->task);
    return e->row && x->r->rows > 1 ? format(p->c, "%s[%s]", name, x->round) : name;
}

const char *scan_place_ahead(Printer *p, unsigned k)
{
    const ScanPrinter *x = p->scan;
    const Early *e = &x->r->early[k];
    const char *at = e->row ? x->row : e->column ? x->column : NULL;
    return at ? format(p->c, "%s[%s][%s]", x->early[k], x->step, at)
              : format(p->c, "%s[%s]", x->early[k], x->step);
}

void scan_put(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    for (unsigned kind = 0; kind < 3; kind++) {
        if (!has_kind(p, kind)) continue;
        uint32_t mark = p->trail.n;
        scan_ahead_open(p, kind, x->next);
        for (uint32_t k = 0; k < x->reads.n; k++)
            if (x->fetched[3 * k + kind]) print_remember(p, x->reads.at[k], x->fetched[3 * k + kind]);
        for (unsigned k = 0; k < r->n_early; k++) {
            Node *n = r->early[k].value;
            if (r->early[k].axis && kind_of(&r->early[k]) == kind)
                print_value(p, format(p->c, "%s = ", scan_place_ahead(p, k)), n, print_type(p, n), ";");
        }
        print_ahead_close(p);
        print_forget(p, mark);
    }
}

/* ---- stores after some steps ---- */

static const char *late_type(const Printer *p, const Statement *s)
{
    const char *element = p->buffers[p->buffer_of[s->tensor->id] - 1].element;
    return strcmp(element, "f16") && strcmp(element, "bf16") ? element : "float";
}

/* The local is all that the value has of a step, but for what lies in shared memory. */
typedef struct FindSum {
    const Recurrence *r;
    const Node *sum;
    bool other, shared; /* shared: it needs values ahead */
} FindSum;

static const Early *find_early(const Recurrence *r, const Node *n)
{
    for (unsigned k = 0; k < r->n_early; k++)
        if (r->early[k].value == n && (r->early[k].axis || !r->early[k].column)) return &r->early[k];
    return NULL;
}

static void find_sum(FindSum *f, const Node *n)
{
    const Early *e = find_early(f->r, n);
    if (e) {
        f->shared = f->shared || e->axis;
        return;
    }
    if (n->op == N_LOCAL) {
        f->other = f->other || (f->sum && f->sum != n);
        f->sum = n;
    }
    f->other = f->other || n->op == N_READ || n->op == N_RAND;
    for (unsigned k = 0; k < n->n_args; k++) find_sum(f, n->args[k]);
}

const Node *scan_sum_of(const Recurrence *r, const Statement *s, bool *shared)
{
    FindSum f = {r, NULL, false, false};
    find_sum(&f, s->value);
    *shared = *shared || (!f.other && f.shared);
    return f.other ? NULL : f.sum;
}

static const char *place_late(Printer *p, unsigned k)
{
    const ScanPrinter *x = p->scan;
    return format(p->c, x->r->column ? "%s[%s][%s]" : "%s[%s]", x->late[k], x->step, x->column);
}

void scan_declare_late(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    for (unsigned k = 0; k < r->n_late; k++)
        LINES(p, "__shared__ %s %s[%u]%s;", x->sum[k] ? print_type(p, x->sum[k]) : late_type(p, r->late[k]),
              x->late[k], r->steps, r->column ? format(p->c, "[%u]", r->width) : "");
}

bool print_scan_late(Printer *p, const Statement *s)
{
    const ScanPrinter *x = p->scan;
    for (unsigned k = 0; x && k < x->r->n_late; k++) {
        if (x->r->late[k] != s) continue;
        print_line(p, s->span);
        if (x->r->lanes > 1) text_add(p->out, "if (%s == 0) ", x->lane);
        text_add(p->out, "%s", place_late(p, k));
        if (x->sum[k])
            text_add(p->out, " = %s;\n", p->locals[x->sum[k]->local->id]);
        else
            print_assigned(p, s, late_type(p, s));
        return true;
    }
    return false;
}

/* Those of the steps that have just run. */
void scan_store_late(Printer *p)
{
    const ScanPrinter *x = p->scan;
    const Recurrence *r = x->r;
    if (!r->n_late) return;
    LINES(p, "if (%s) {", x->next);
    scan_ahead_open(p, r->column ? 1 : 2, format(p->c, "%s - %u", x->next, r->steps));
    uint32_t mark = p->trail.n;
    for (unsigned k = 0; k < r->n_early; k++)
        if (find_early(r, r->early[k].value))
            print_remember(p, r->early[k].value,
                           r->early[k].axis ? scan_place_ahead(p, k) : scan_place_own(p, k));
    for (unsigned k = 0; k < r->n_late; k++) {
        const Statement *s = r->late[k];
        if (x->live)
            LINES(p, "if (%s * %u + %s < %s) {", p->indices[r->block->id], r->width, x->column,
                  print_extent(p, r->column));
        Text place = {.c = p->c}, *out = p->out;
        p->out = &place;
        print_in_memory(p, s->tensor, s->subscripts);
        p->out = out;
        if (x->sum[k]) print_remember(p, x->sum[k], place_late(p, k));
        if (x->sum[k])
            print_value(p, format(p->c, "%s = ", place.at), s->value, late_type(p, s), ";");
        else
            LINES(p, "%s = %s;", place.at, place_late(p, k));
        if (x->live) LINES(p, "}");
    }
    print_forget(p, mark);
    print_ahead_close(p);
    LINES(p, "}");
    if (x->late_reads) LINES(p, "__syncthreads();");
}
