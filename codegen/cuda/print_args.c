/* The parameter of the kernels: a struct as runtime/abi.h lays it out; and a struct made of it that knows
 * extents, where buffers begin and where their elements lie.
 *
 * Ensures: offsets of workspace and scratch buffers are those that the host's prepare counts with: in the
 * order of Kernel.buffers, each padded to 64 bytes. A thread's scratch is interleaved with that of the
 * others, element by element. */
#include <string.h>

#include "codegen/cpu/emit.h"
#include "codegen/cuda/print.h"

/* ---- names and types ---- */

const char *print_element(const Printer *p, const Buffer *b)
{
    bool bound = b->kind == BUFFER_BOUND;
    if (b->tensor->type == TYPE_BOOL)
        return bound && b->tensor->role != ROLE_OUTPUT ? "unsigned char" : "bool";
    if (b->tensor->type == TYPE_INT) return bound ? "any_int" : "int64";
    if (!bound) return b->exact ? "double" : p->real;
    switch (job_storage(p->job, b->tensor)) {
    case STORAGE_F64: return "double";
    case STORAGE_F16: return "f16";
    case STORAGE_BF16: return "bf16";
    default: return "float";
    }
}

static bool is_any_int(const PrintBuffer *b) { return !strcmp(b->element, "any_int"); }

/* A carried state may be updated where it is. */
static bool is_carried(const Pattern *pattern, const Tensor *t)
{
    for (uint32_t k = 0; k < pattern->equations.n; k++)
        if (pattern->equations.at[k]->carry_start == t) return true;
    return false;
}

static void want_types(Printer *p, const PrintBuffer *b)
{
    bool f16 = !strcmp(b->element, "f16"), bf16 = !strcmp(b->element, "bf16");
    if (is_any_int(b)) print_want(p, HELP_ANY_INT);
    if (f16) print_want(p, HELP_F16);
    if (bf16) print_want(p, HELP_BF16);
    if (b->steady && b->buffer->tensor->type == TYPE_REAL)
        print_want(p, f16 ? HELP_LOAD_F16 : bf16 ? HELP_LOAD_BF16 : HELP_LOAD);
}

static void init_buffer(Printer *p, unsigned number)
{
    Compilation *c = p->c;
    PrintBuffer *b = &p->buffers[number];
    b->buffer = &p->kernel->buffers.at[number];
    const Tensor *t = b->buffer->tensor;
    p->buffer_of[t->id] = number + 1;
    b->access = name_new(c, &p->members, t->name);
    b->element = print_element(p, b->buffer);
    b->heads = -1;
    bool bound = b->buffer->kind == BUFFER_BOUND;
    bool input = bound && (t->role == ROLE_INPUT || t->role == ROLE_CAPTURE);
    b->written = !input;
    b->steady = input && !is_carried(p->pattern, t);
    for (unsigned d = 0; input && d < t->n_dims && b->heads < 0; d++)
        if (t->dims[d]->heads) b->heads = (int)d;
    b->data = name_new(c, &p->members, format(c, "%s_data", t->name));
    if (!bound) return;
    b->group = name_new(c, &p->members, format(c, "%s_group", t->name));
    b->type = name_new(c, &p->members, format(c, "%s_type", t->name));
    b->strides = name_new(c, &p->members, format(c, "%s_strides", t->name));
    want_types(p, b);
}

void print_args_init(Printer *p)
{
    const Pattern *pattern = p->pattern;
    Compilation *c = p->c;
    p->members.outer = &p->globals;
    p->n_buffers = p->kernel->buffers.n;
    p->buffers = NEW_ARRAY(c, PrintBuffer, p->n_buffers + 1);
    p->buffer_of = NEW_ARRAY(c, uint32_t, c->next_tensor + 1);
    p->extents = NEW_ARRAY(c, const char *, pattern->indices.n + 1);
    p->methods = NEW_ARRAY(c, const char *, pattern->indices.n + 1);
    p->params = NEW_ARRAY(c, const char *, pattern->params.n + 1);
    p->workspace = name_new(c, &p->members, "workspace");
    p->scratch = name_new(c, &p->members, "scratch");
    p->status = name_new(c, &p->members, "status");
    p->tasks = name_new(c, &p->members, "tasks");
    for (unsigned k = 0; k < p->n_buffers; k++) init_buffer(p, k);
    for (unsigned k = 0; k < pattern->indices.n; k++) {
        p->extents[k] = name_new(c, &p->members, format(c, "size_%s", pattern->indices.at[k]->name));
        p->methods[k] = name_new(c, &p->members, format(c, "extent_%s", pattern->indices.at[k]->name));
    }
    for (unsigned k = 0; k < pattern->params.n; k++)
        p->params[k] = name_new(c, &p->members, pattern->params.at[k]->name);
}

/* ---- extents ---- */

/* The index that tells the extent: itself if it follows from others. */
const Index *print_bound_index(const Index *index)
{
    while (index->extent && index->extent->op == N_SIZE) index = index->extent->index;
    return !index->extent && index->root ? index->root : index;
}

const char *print_extent_method(Printer *p, const Index *index)
{
    index = print_bound_index(index);
    if (!index->extent) return format(p->c, "%s()", p->methods[index->number]);
    if (index->extent->op == N_INT) return format(p->c, "%lld", (long long)index->extent->integer);
    for (uint32_t k = 0; k < p->derived.n; k++)
        if (p->derived.at[k]->extent == index->extent) return p->derived_names.at[k];
    const char *name = name_new(p->c, &p->members, format(p->c, "extent_%s", index->name));
    PUSH(p->c, &p->derived, index);
    PUSH(p->c, &p->derived_names, name);
    return name;
}

const char *print_extent(Printer *p, const Index *index)
{
    index = print_bound_index(index);
    const char *method = print_extent_method(p, index);
    if (p->inside || (index->extent && index->extent->op == N_INT)) return method;
    for (uint32_t k = 0; k < p->sizes.n; k++)
        if (p->sizes.at[k] == index || (index->extent && p->sizes.at[k]->extent == index->extent))
            return p->size_names.at[k];
    const char *name = name_new(p->c, &p->sizes_taken, format(p->c, "size_%s", index->name));
    PUSH(p->c, &p->sizes, index);
    PUSH(p->c, &p->size_names, name);
    return name;
}

/* NVRTC's options may fix those that the variant leaves open. */
static void print_extent_macros(Printer *p)
{
    const Pattern *pattern = p->pattern;
    for (unsigned k = 0; k < pattern->indices.n; k++) {
        const char *name = name_clean(p->c, pattern->indices.at[k]->name);
        if (p->fixed && p->fixed[k] >= 0)
            text_add(p->out, "#define SIZE_%s %lld\n", name, (long long)p->fixed[k]);
        else
            text_add(p->out, "#ifndef SIZE_%s\n#define SIZE_%s %s\n#endif\n", name, name, p->extents[k]);
    }
}

static void print_extents(Printer *p)
{
    const Pattern *pattern = p->pattern;
    for (unsigned k = 0; k < pattern->indices.n; k++) {
        const char *name = name_clean(p->c, pattern->indices.at[k]->name);
        text_add(p->out, "    __device__ int64 %s() const { return SIZE_%s; }\n", p->methods[k], name);
    }
}

/* ---- fields ---- */

static void print_shape(Printer *p, const Tensor *t)
{
    text_add(p->out, "[");
    for (unsigned d = 0; d < t->n_dims; d++) text_add(p->out, "%s%s", d ? ", " : "", t->dims[d]->name);
    text_add(p->out, "]");
}

static void print_bound_fields(Printer *p, const PrintBuffer *b)
{
    const char *type = is_any_int(b) ? "char" : b->element;
    text_add(p->out, "    %s%s *%s; // ", b->written || is_any_int(b) ? "" : "const ", type, b->data);
    print_shape(p, b->buffer->tensor);
    if (b->buffer->tensor->optional) text_add(p->out, ", or not bound");
    text_add(p->out, "\n    int64 %s, %s", b->group, b->type);
    if (b->buffer->tensor->n_dims) text_add(p->out, ", %s[%u]", b->strides, b->buffer->tensor->n_dims);
    text_add(p->out, ";\n");
}

static void print_fields(Printer *p)
{
    const Pattern *pattern = p->pattern;
    IndexList derived = emit_derived_indices(p->c, pattern);
    for (unsigned k = 0; k < p->n_buffers; k++)
        if (p->buffers[k].buffer->kind == BUFFER_BOUND) print_bound_fields(p, &p->buffers[k]);
    for (unsigned k = 0; k < pattern->indices.n; k++) text_add(p->out, "    int64 %s;\n", p->extents[k]);
    for (unsigned k = 0; k < derived.n; k++)
        text_add(p->out, "    int64 %s; // follows from others\n",
                 name_new(p->c, &p->members, format(p->c, "size_%s", derived.at[k]->name)));
    for (unsigned k = 0; k < pattern->params.n; k++)
        text_add(p->out, "    %s %s;\n", pattern->params.at[k]->type == TYPE_REAL ? "double" : "int64",
                 p->params[k]);
    text_add(p->out, "    char *%s, *%s;\n    int *%s; // 0, or 1 + the number of the check that failed\n",
             p->workspace, p->scratch, p->status);
    text_add(p->out, "    int64 %s;\n", p->tasks);
}

/* ---- buffers ---- */

static const char *kept_extent(Printer *p, const Buffer *b, unsigned d)
{
    return b->ring == (int)d ? format(p->c, "%u", b->ring_depth) : print_extent_method(p, b->tensor->dims[d]);
}

/* `at` bytes ahead of each. */
static void print_starts(Printer *p, BufferKind kind, const char *base)
{
    bool first = true;
    for (unsigned k = 0; k < p->n_buffers; k++) {
        const PrintBuffer *b = &p->buffers[k];
        if (b->buffer->kind != kind) continue;
        if (first) text_add(p->out, "        at = 0; // bytes\n");
        first = false;
        print_want(p, HELP_PADDED);
        text_add(p->out, "        %s = (%s *)(%s + at%s);\n", b->data, b->element, base,
                 kind == BUFFER_SCRATCH ? " * threads()" : "");
        text_add(p->out, "        at += padded((int64)sizeof(%s)", b->element);
        for (unsigned d = 0; d < b->buffer->tensor->n_dims; d++)
            text_add(p->out, " * %s", kept_extent(p, b->buffer, d));
        text_add(p->out, ");\n");
    }
}

/* Extents that follow from others: more may turn up as they are printed. */
static void print_derived(Printer *p)
{
    for (uint32_t k = 0; k < p->derived.n; k++) {
        print_want(p, HELP_MOST);
        text_add(p->out, "        %s = most(", p->derived_names.at[k]);
        print_node(p, p->derived.at[k]->extent, BIND_ANY);
        text_add(p->out, ", 0);\n");
    }
}

static bool has_dense(const Printer *p)
{
    for (unsigned k = 0; k < p->n_buffers; k++)
        if (p->buffers[k].buffer->kind != BUFFER_BOUND) return true;
    return false;
}

/* Fields for what follows from the parameter, and how it does. */
static void print_constructor(Printer *p)
{
    Text starts = {.c = p->c}, derived = {.c = p->c}, *out = p->out;
    p->out = &starts;
    print_starts(p, BUFFER_WORKSPACE, p->workspace);
    print_starts(p, BUFFER_SCRATCH, p->scratch);
    p->out = &derived;
    print_derived(p);
    p->out = out;
    for (unsigned k = 0; k < p->n_buffers; k++) {
        const PrintBuffer *b = &p->buffers[k];
        if (b->buffer->kind == BUFFER_BOUND) continue;
        text_add(out, "    %s *%s; // ", b->element, b->data);
        print_shape(p, b->buffer->tensor);
        text_add(out,
                 b->buffer->kind == BUFFER_SCRATCH ? " of this thread; threads are interleaved\n" : "\n");
    }
    for (uint32_t k = 0; k < p->derived.n; k++) text_add(out, "    int64 %s;\n", p->derived_names.at[k]);
    text_add(out, "\n    __device__ %s(const %s &args) : %s(args)\n    {\n", p->view, p->args, p->args);
    text_add(out, "%s", derived.at ? derived.at : "");
    if (has_dense(p)) text_add(out, "        int64 %s", starts.at + strlen("        "));
    text_add(out, "    }\n\n");
}

static void print_coordinate(Printer *p, const Buffer *b, unsigned d, const char *name)
{
    if (b->ring == (int)d)
        text_add(p->out, "%s %% %u", name, b->ring_depth);
    else
        text_add(p->out, "%s", name);
}

/* Row-major, by Horner's rule. */
static void print_dense_offset(Printer *p, const Buffer *b, const char **at)
{
    unsigned n = b->tensor->n_dims;
    if (!n) text_add(p->out, "0");
    for (unsigned d = 2; d < n; d++) text_add(p->out, "(");
    for (unsigned d = 0; d < n; d++) {
        if (d) text_add(p->out, " * %s + ", kept_extent(p, b, d));
        print_coordinate(p, b, d, at[d]);
        if (d && d + 1 < n) text_add(p->out, ")");
    }
}

static void print_strided_offset(Printer *p, const PrintBuffer *b, const char **at)
{
    unsigned n = b->buffer->tensor->n_dims;
    if (!n) text_add(p->out, "0");
    for (unsigned d = 0; d < n; d++) text_add(p->out, "%s%s * %s[%u]", d ? " + " : "", at[d], b->strides, d);
}

static void print_bound_element(Printer *p, const PrintBuffer *b, const char **at)
{
    bool loads = b->steady && b->buffer->tensor->type == TYPE_REAL;
    if (is_any_int(b))
        text_add(p->out, "any_int{%s, %s, ", b->data, b->type);
    else
        text_add(p->out, loads ? "load(%s + " : "%s[", b->data);
    print_strided_offset(p, b, at);
    text_add(p->out, is_any_int(b) ? "}" : loads ? ")" : "]");
    if (b->buffer->tensor->type == TYPE_BOOL && !b->written) text_add(p->out, " != 0");
}

static void print_dense_element(Printer *p, const PrintBuffer *b, const char **at)
{
    unsigned n = b->buffer->tensor->n_dims;
    bool scratch = b->buffer->kind == BUFFER_SCRATCH;
    text_add(p->out, "%s[", b->data);
    if (scratch && n > 1) text_add(p->out, "(");
    if (!scratch || n) print_dense_offset(p, b->buffer, at);
    if (scratch && n > 1) text_add(p->out, ")");
    if (scratch) text_add(p->out, n ? " * threads() + thread()" : "thread()");
    text_add(p->out, "]");
}

static const char *result_type(Printer *p, const PrintBuffer *b)
{
    const Tensor *t = b->buffer->tensor;
    if (is_any_int(b)) return b->written ? "any_int " : "int64 ";
    if (b->written) return format(p->c, "%s &", b->element);
    return t->type == TYPE_BOOL ? "bool " : format(p->c, "%s ", p->real);
}

/* On one line where that is short. address: a pointer to the element. */
static void print_accessor(Printer *p, const PrintBuffer *b, bool address)
{
    enum { LINE = 110 };
    const Tensor *t = b->buffer->tensor;
    Names own = {.outer = &p->members};
    Text head = {.c = p->c}, body = {.c = p->c}, *out = p->out;
    const char *at[MAX_INDICES];
    p->out = &head;
    if (address)
        text_add(p->out, "    __device__ %s%s *%s(", b->written ? "" : "const ", b->element, b->address);
    else
        text_add(p->out, "    __device__ %s%s(", result_type(p, b), b->access);
    for (unsigned d = 0; d < t->n_dims; d++) {
        at[d] = name_new(p->c, &own, t->dims[d]->name);
        bool ring = b->buffer->ring == (int)d;
        text_add(p->out, "%s%s %s", d ? ", " : "", ring ? "uint64" : "int64", at[d]);
    }
    text_add(p->out, ") const");
    p->out = &body;
    if (address) {
        text_add(p->out, "%s + ", b->data);
        if (b->buffer->kind == BUFFER_BOUND)
            print_strided_offset(p, b, at);
        else
            print_dense_offset(p, b->buffer, at);
    } else if (b->buffer->kind == BUFFER_BOUND)
        print_bound_element(p, b, at);
    else
        print_dense_element(p, b, at);
    p->out = out;
    bool one_line = head.n + body.n + strlen(" { return ; }") <= LINE;
    text_add(out, one_line ? "%s { return %s; }\n" : "%s\n    {\n        return %s;\n    }\n", head.at,
             body.at);
}

void print_args(Printer *p)
{
    p->inside = true;
    print_extent_macros(p);
    text_add(p->out, "\n// The parameter of every kernel. Strides count elements; so many consecutive heads, "
                     "the group, share one.\n");
    text_add(p->out, "struct %s {\n", p->args);
    print_fields(p);
    text_add(p->out, "};\n\n// With what follows from it.\nstruct %s : %s {\n", p->view, p->args);
    Text methods = {.c = p->c}, *out = p->out;
    p->out = &methods; /* they may need extents, which are printed first */
    for (unsigned k = 0; k < p->n_buffers; k++) {
        print_accessor(p, &p->buffers[k], false);
        if (p->buffers[k].address) print_accessor(p, &p->buffers[k], true);
    }
    p->out = out;
    print_constructor(p);
    print_extents(p);
    text_add(p->out, "%s};\n", methods.at);
    p->inside = false;
}
