/* Statements become instructions: modifiers are sorted, operands become slots, labels pcs, names addresses.
 *
 * Requires: module_parse. Ensures: every instruction has a function that runs it; a word that is not known,
 * or that its opcode does not have, is an error with its line. */
#include "inside.h"

#include <string.h>

typedef struct Decoder {
    PtxModule *m;
    PtxFunction *f;
    const Statement *s;
    Instruction *i;
} Decoder;
typedef void Decode(const Decoder *d);
typedef struct OpInfo {
    const char *name;
    Decode *decode;
    Run *run;
    Alu *alu;
    uint8_t class;
    uint64_t groups;
} OpInfo;

enum { PTX_ARITH = PTX_CLASSES }; /* of opcode_list.h: the class follows from the type */

static Decode decode_alu, decode_warp, decode_atom, decode_bar, decode_bra, decode_brx, decode_call,
    decode_cp, decode_cvt, decode_cvta, decode_ld, decode_ldmatrix, decode_mma, decode_mov, decode_setp,
    decode_shfl, decode_st;

#define G(group) (1ull << group)
#define RUNS_alu(f) .run = run_alu, .alu = alu_##f
#define RUNS_warp(f) .run = run_##f, .alu = NULL
#define RUNS_atom RUNS_warp
#define RUNS_bar RUNS_warp
#define RUNS_bra RUNS_warp
#define RUNS_brx RUNS_warp
#define RUNS_call RUNS_warp
#define RUNS_cp RUNS_warp
#define RUNS_cvt(f) .run = run_alu, .alu = alu_cvt
#define RUNS_cvta(f) .run = run_alu, .alu = alu_cvta_from
#define RUNS_ld RUNS_warp
#define RUNS_ldmatrix RUNS_warp
#define RUNS_mma RUNS_warp
#define RUNS_mov(f) .run = run_alu, .alu = alu_mov
#define RUNS_setp RUNS_warp
#define RUNS_shfl RUNS_warp
#define RUNS_st RUNS_warp
static const OpInfo infos[OPS] = {
#define OP(name, decoder, function, class, groups) \
    [OP_##name] = {#name, decode_##decoder, RUNS_##decoder(function), PTX_##class, groups},
#include "opcode_list.h"
#undef OP
};

static const struct {
    const char *text;
    uint8_t group;
} modifiers[MODIFIERS] = {
    {"", GROUPS},
#define MODIFIER(text, group, name) {text, group},
#include "modifier_list.h"
#undef MODIFIER
};

static void fail_statement(const Decoder *d, const char *why)
{
    Text t = {.c = &d->m->c};
    for (uint32_t k = 0; k < d->s->n_parts; k++) text_add(&t, "%s%s", k ? "." : "", d->s->parts[k]);
    module_fail(d->m, d->s->line, "`%s`: %s", t.at, why);
}

/* ---- Modifiers ---- */
static void add_modifier(const Decoder *d, const OpInfo *info, Modifier m)
{
    uint8_t group = modifiers[m].group;
    uint8_t *at = &d->i->mod[group];
    if (group == HINT) {
        d->i->strong |= m == M_VOLATILE || m == M_RELAXED || m == M_ACQUIRE || m == M_RELEASE;
        return;
    }
    if (!(info->groups >> group & 1))
        fail_statement(d, format(&d->m->c, "`%s` is not known with `%s`", modifiers[m].text, info->name));
    bool second = *at && group == SPACE && info->decode == decode_cp; /* shared.global */
    if (*at && !second) fail_statement(d, format(&d->m->c, "`%s` is one too many", modifiers[m].text));
    if (!second) *at = (uint8_t)m;
}

static void sort_part(const Decoder *d, const OpInfo *info, const char *part, unsigned *n_types)
{
    Type t = type_find(part, strlen(part));
    if (t) {
        if (*n_types == 4) fail_statement(d, "too many types");
        d->i->types[(*n_types)++] = (uint8_t)t;
        return;
    }
    for (Modifier m = M_NONE + 1; m < MODIFIERS; m++)
        if (!strcmp(part, modifiers[m].text)) {
            add_modifier(d, info, m);
            return;
        }
    fail_statement(d, format(&d->m->c, "`%s` is not known", part));
}

static Op find_op(const Decoder *d)
{
    for (Op op = 0; op < OPS; op++)
        if (!strcmp(infos[op].name, d->s->parts[0])) return op;
    fail_statement(d, "this opcode is not known");
    return OPS;
}

static PtxClass class_of(const OpInfo *info, const Instruction *i)
{
    if (info->class != PTX_ARITH) return i->type == T_pred ? PTX_SELECT : (PtxClass)info->class;
    if (type_kind((Type)i->type) != FLOAT) return PTX_INTEGER;
    if (i->type == T_f64) return PTX_DOUBLE;
    if (i->op == OP_div) return PTX_SPECIAL;
    return i->type == T_f32 ? PTX_FLOAT : PTX_HALF;
}

/* ---- Operands ---- */
static int32_t module_constant(PtxModule *m, uint64_t value, Width width)
{
    for (uint32_t k = 0; k < m->constants.n; k++)
        if (m->constants.at[k].value == value && slot_width(m->constants.at[k].slot) == width)
            return m->constants.at[k].slot;
    m->constant_rows += rows_of(width);
    int32_t slot = slot_at(-m->constant_rows, width);
    PUSH(&m->c, &m->constants, (Constant){value, slot});
    return slot;
}

static uint64_t align_up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

static int64_t symbol_address(const Decoder *d, const Symbol *s)
{
    switch (s->kind == VARIABLE ? s->space : GENERIC) {
    case SHARED: return s->function ? (int64_t)align_up(d->m->shared_size, 128) + s->offset : s->offset;
    case LOCAL: return s->function->local_first + s->offset;
    case PARAM: return s->offset;
    case GLOBAL:
    case CONSTANT: return (int64_t)s->address;
    default: fail_statement(d, format(&d->m->c, "`%s` is no variable", s->name)); return 0;
    }
}

static int32_t register_slot(const Decoder *d, const Operand *o)
{
    return slot_at(o->kind == O_SPECIAL ? 2 * o->slot : d->f->first_row + o->slot, width_of(o->type));
}

/* `t`: that a number is written in. */
static int32_t source(const Decoder *d, const Operand *o, Type t)
{
    switch (o->kind) {
    case O_REGISTER:
    case O_SPECIAL: return register_slot(d, o);
    case O_INTEGER:
        if (!t) t = T_u64;
        return module_constant(d->m, keep_bits((uint64_t)o->integer, type_bits(t)), width_of(t));
    case O_DOUBLE: return module_constant(d->m, from_double(t, o->number, M_RN), width_of(t));
    case O_SYMBOL:
        if (o->symbol->dynamic && o->integer == 0) return slot_at(2 * S_dynamic, WIDE);
        if (o->symbol->dynamic) fail_statement(d, "an offset to dynamic shared memory is not known here");
        return module_constant(d->m, (uint64_t)(symbol_address(d, o->symbol) + o->integer), WIDE);
    default: fail_statement(d, "an operand of this kind is not known here"); return 0;
    }
}

static int32_t destination(const Decoder *d, const Operand *o)
{
    if (o->kind == O_SINK) return NO_SLOT;
    if (o->kind != O_REGISTER) fail_statement(d, "the result must be a register");
    d->i->d_bits = (uint8_t)type_bits(o->type);
    return register_slot(d, o);
}

/* The same where there must be one. */
static int32_t result(const Decoder *d, const Operand *o)
{
    if (o->kind == O_SINK) fail_statement(d, "the result must be a register");
    return destination(d, o);
}

/* The elements of a vector, or the one operand. Returns how many. */
static uint8_t sources(const Decoder *d, const Operand *o, Type t, int32_t slots[MAX_VECTOR])
{
    uint32_t n = o->kind == O_VECTOR ? o->n : 1;
    for (uint32_t k = 0; k < n; k++) slots[k] = source(d, o->kind == O_VECTOR ? &o->at[k] : o, t);
    return (uint8_t)n;
}

static uint8_t destinations(const Decoder *d, const Operand *o, int32_t slots[MAX_VECTOR])
{
    uint32_t n = o->kind == O_VECTOR ? o->n : 1;
    for (uint32_t k = 0; k < n; k++) slots[k] = destination(d, o->kind == O_VECTOR ? &o->at[k] : o);
    return (uint8_t)n;
}

static const Operand *operand(const Decoder *d, uint32_t n)
{
    if (n >= d->s->n) fail_statement(d, "an operand is missing");
    return &d->s->operands[n];
}

static void address(const Decoder *d, const Operand *o, int32_t *slot, int64_t *offset)
{
    if (o->kind != O_ADDRESS) fail_statement(d, "expected an address in brackets");
    *offset = o->integer;
    *slot = module_constant(d->m, 0, WIDE);
    if (!o->at) return;
    if (o->at->kind == O_SYMBOL && !o->at->symbol->dynamic)
        *offset += symbol_address(d, o->at->symbol);
    else
        *slot = source(d, o->at, T_u64);
}

static Space space_of(const Decoder *d, const Operand *o)
{
    const Symbol *base = o->kind == O_ADDRESS && o->at && o->at->kind == O_SYMBOL ? o->at->symbol : NULL;
    switch (d->i->mod[SPACE]) {
    case M_GLOBAL: return GLOBAL;
    case M_SHARED:
    case M_SHARED_CTA: return SHARED;
    case M_LOCAL: return LOCAL;
    case M_CONST: return CONSTANT;
    case M_PARAM:
    case M_PARAM_FUNC:
    case M_PARAM_ENTRY: /* those of device functions lie in local memory */
        return base && base->kind == VARIABLE ? base->space : d->f->entry ? PARAM : LOCAL;
    default: return GENERIC;
    }
}

/* ---- Families ---- */
static Type operand_type(const Instruction *i, uint32_t n)
{
    switch (i->op) {
    case OP_shl:
    case OP_shr:
    case OP_szext: return n == 2 ? T_u32 : (Type)i->type;
    case OP_bfe: return n >= 2 ? T_u32 : (Type)i->type;
    case OP_bfi: return n >= 3 ? T_u32 : (Type)i->type;
    case OP_shf:
    case OP_prmt:
    case OP_lop3:
    case OP_dp4a:
    case OP_dp2a:
    case OP_bmsk: return T_u32;
    case OP_slct: return n == 3 ? (Type)i->types[1] : (Type)i->type;
    case OP_mad:
    case OP_madc: return n == 3 && i->mod[HALF] == M_WIDE ? T_u64 : (Type)i->type;
    default: return (Type)i->type;
    }
}

static void decode_alu(const Decoder *d)
{
    Instruction *i = d->i;
    i->d[0] = result(d, operand(d, 0));
    i->n_operands = (uint8_t)d->s->n;
    int32_t *slots[] = {NULL, i->a, i->b, i->c, &i->e};
    if (d->s->n > 5) fail_statement(d, "too many operands");
    for (uint32_t n = 1; n < d->s->n; n++) {
        const Operand *o = operand(d, n);
        *slots[n] = source(d, o, operand_type(i, n));
        if (o->negated) fail_statement(d, "a negated operand is not known here");
    }
    for (uint32_t n = d->s->n; n < 4; n++) *slots[n] = module_constant(d->m, 0, WORD);
    if (i->mod[CARRY] || i->op == OP_addc || i->op == OP_subc || i->op == OP_madc) i->run = run_carry;
}

static void decode_warp(const Decoder *d)
{
    Instruction *i = d->i;
    i->n_operands = (uint8_t)d->s->n;
    if (i->op == OP_exit || i->op == OP_ret || i->op == OP_trap) {
        i->ends = true;
        if (d->f->return_slot != NO_SLOT) i->return_slot = slot_at(d->f->first_row + d->f->return_slot, WORD);
        if (i->op == OP_ret && d->f->entry) i->run = run_exit;
        return;
    }
    if (i->run == run_nothing || d->s->n == 0) return;
    i->d[0] = result(d, operand(d, 0));
    i->d[1] = NO_SLOT;
    if (operand(d, 0)->n == 1 && operand(d, 0)->at) i->d[1] = destination(d, operand(d, 0)->at);
    int32_t *slots[] = {NULL, i->a, i->b, i->c};
    for (uint32_t n = 1; n < d->s->n && n < 4; n++) {
        *slots[n] = source(d, operand(d, n), n > 1 ? T_u32 : i->op == OP_vote ? T_pred : (Type)i->type);
        if (operand(d, n)->negated) i->not_a = true;
    }
}

static void decode_shfl(const Decoder *d)
{
    if (d->s->n != 5) fail_statement(d, "expected a result, a value, a lane, a segment mask and the lanes");
    Instruction *i = d->i;
    i->d[0] = destination(d, operand(d, 0));
    i->d[1] = operand(d, 0)->n == 1 ? destination(d, operand(d, 0)->at) : NO_SLOT;
    i->a[0] = source(d, operand(d, 1), T_b32);
    i->b[0] = source(d, operand(d, 2), T_u32);
    i->c[0] = source(d, operand(d, 3), T_u32);
    i->e = source(d, operand(d, 4), T_u32);
}

static void decode_setp(const Decoder *d)
{
    Instruction *i = d->i;
    i->d[0] = destination(d, operand(d, 0));
    i->d[1] = operand(d, 0)->n == 1 && operand(d, 0)->at ? destination(d, operand(d, 0)->at) : NO_SLOT;
    i->a[0] = source(d, operand(d, 1), (Type)i->from);
    i->b[0] = source(d, operand(d, 2), (Type)i->from);
    i->n_operands = (uint8_t)d->s->n;
    if (d->s->n == 4) {
        i->c[0] = source(d, operand(d, 3), T_pred);
        i->not_c = operand(d, 3)->negated;
    }
    if (i->mod[HALF]) i->mod[COMPARE] = i->mod[HALF]; /* lo and hi are comparisons here */
    if (!i->mod[COMPARE]) fail_statement(d, "a comparison without an operator");
    if (type_kind((Type)i->from) == FLOAT && type_bits((Type)i->from) == 32 && i->from != T_f32)
        fail_statement(d, "pairs are not known here");
}

static void decode_cvt(const Decoder *d)
{
    if (!d->i->types[1]) fail_statement(d, "expected two types");
    d->i->n_operands = (uint8_t)d->s->n;
    d->i->d[0] = result(d, operand(d, 0));
    d->i->a[0] = source(d, operand(d, 1), (Type)d->i->from);
    d->i->b[0] = d->s->n > 2 ? source(d, operand(d, 2), (Type)d->i->from) : d->i->a[0];
    d->i->c[0] = d->i->a[0];
}

static void decode_cvta(const Decoder *d)
{
    if (d->i->mod[TO]) d->i->alu = alu_cvta_to;
    decode_alu(d);
}

static void decode_mov(const Decoder *d)
{
    const Operand *to = operand(d, 0), *from = operand(d, 1);
    if (to->kind == O_VECTOR && from->kind != O_VECTOR) {
        d->i->run = run_mov_unpack;
        d->i->n = destinations(d, to, d->i->d);
        d->i->a[0] = source(d, from, (Type)d->i->type);
    } else if (from->kind == O_VECTOR) {
        d->i->run = run_mov_pack;
        d->i->n = sources(d, from, NO_TYPE, d->i->a);
        d->i->d[0] = result(d, to);
    } else {
        decode_alu(d);
    }
}

static unsigned vector_length(const Instruction *i)
{
    return i->mod[VECTOR] == M_V2 ? 2 : i->mod[VECTOR] == M_V4 ? 4 : i->mod[VECTOR] == M_V8 ? 8 : 1;
}

static void note_access(const Decoder *d, uint32_t bytes)
{
    bool any = d->i->space == GENERIC;
    if ((any || d->i->space == SHARED) && bytes < d->f->granule) d->f->granule = bytes;
    if ((any || d->i->space == GLOBAL) && bytes < d->f->global_granule) d->f->global_granule = bytes;
}

static void memory_access(const Decoder *d, const Operand *where)
{
    Instruction *i = d->i;
    address(d, where, &i->b[0], &i->offset);
    i->space = (uint8_t)space_of(d, where);
    i->bytes = type_bits((Type)i->type) / 8 * i->n;
    if (i->n != vector_length(i))
        fail_statement(d, "the vector does not have the length that the opcode says");
    note_access(d, type_bits((Type)i->type) / 8);
    bool load = i->run == run_load;
    if (i->space == SHARED) i->class = load ? PTX_SHARED_LOAD : PTX_SHARED_STORE;
    if (i->space == LOCAL) i->class = PTX_LOCAL;
    if (i->space == PARAM || i->space == CONSTANT) i->class = PTX_CONSTANT;
}

static void decode_ld(const Decoder *d)
{
    d->i->n = destinations(d, operand(d, 0), d->i->d);
    memory_access(d, operand(d, 1));
}

static void decode_st(const Decoder *d)
{
    d->i->n = sources(d, operand(d, 1), (Type)d->i->type, d->i->a);
    memory_access(d, operand(d, 0));
}

/* atom d, [p], value [, second]; red [p], value */
static void decode_atom(const Decoder *d)
{
    Instruction *i = d->i;
    uint32_t n = i->op == OP_atom;
    i->d[0] = n ? destination(d, operand(d, 0)) : NO_SLOT;
    address(d, operand(d, n), &i->b[0], &i->offset);
    i->space = (uint8_t)space_of(d, operand(d, n));
    i->a[0] = source(d, operand(d, n + 1), (Type)i->type);
    if (i->mod[LOGIC] == M_CAS) i->c[0] = source(d, operand(d, n + 2), (Type)i->type);
    if (!i->mod[LOGIC]) fail_statement(d, "an atomic operation without its name");
    i->bytes = type_bits((Type)i->type) / 8;
    note_access(d, i->bytes);
}

/* bar.sync a [, b]; bar.arrive a, b; bar.red.op d, a [, b], p; bar.warp.sync mask */
static void decode_bar(const Decoder *d)
{
    Instruction *i = d->i;
    if (i->mod[WARP]) {
        i->run = run_bar_warp;
        i->a[0] = source(d, operand(d, 0), T_u32);
        return;
    }
    uint32_t n = d->s->n, first = 0;
    i->n_operands = 0;
    i->d[0] = NO_SLOT;
    if (i->mod[SYNC] == M_RED) {
        i->d[0] = destination(d, operand(d, 0));
        first = 1;
        i->c[0] = source(d, operand(d, --n), T_pred);
        i->not_c = operand(d, n)->negated;
    }
    i->a[0] = source(d, operand(d, first), T_u32);
    if (n > first + 1) {
        i->b[0] = source(d, operand(d, first + 1), T_u32);
        i->n_operands = 2;
    }
}

static uint32_t label_pc(const Decoder *d, const Symbol *s)
{
    if (s->kind != LABEL) fail_statement(d, format(&d->m->c, "`%s` is no label", s->name));
    return d->f->first + s->pc;
}

static void decode_bra(const Decoder *d)
{
    const Operand *o = operand(d, 0);
    if (o->kind != O_SYMBOL) fail_statement(d, "expected a label");
    d->i->target = label_pc(d, o->symbol);
    d->i->ends = true;
}

static void decode_brx(const Decoder *d)
{
    const Operand *o = operand(d, 1);
    if (o->kind != O_SYMBOL || !o->symbol->targets.n)
        fail_statement(d, "expected the label of .branchtargets");
    d->i->a[0] = source(d, operand(d, 0), T_u32);
    d->i->symbol = o->symbol;
    d->i->target = d->f->first;
    d->i->ends = true;
}

static void copy_list(const Decoder *d, Symbol *const *from, uint32_t n, Symbol *const *to, uint32_t n_to)
{
    if (n != n_to) fail_statement(d, "the number of arguments or results is wrong");
    d->i->copies = NEW_ARRAY(&d->m->c, Copy, n ? n : 1);
    d->i->n_copies = n;
    for (uint32_t k = 0; k < n; k++) {
        if (from[k]->size != to[k]->size) fail_statement(d, "the size of an argument or a result is wrong");
        d->i->copies[k] = (Copy){(uint32_t)symbol_address(d, from[k]), (uint32_t)symbol_address(d, to[k]),
                                 (uint32_t)from[k]->size};
    }
}

static void decode_call(const Decoder *d)
{
    const Statement *s = d->s;
    const PtxFunction *to = s->callee->function;
    if (!to->has_body) fail_statement(d, format(&d->m->c, "`%s` has no body", to->name));
    if (s->ends_call) {
        d->i->run = run_call_end;
        copy_list(d, to->results.at, to->results.n, s->results.at, s->results.n);
        return;
    }
    copy_list(d, s->arguments.at, s->arguments.n, to->params.at, to->params.n);
    d->i->target = to->first;
    d->i->return_slot = slot_at(to->first_row + to->return_slot, WORD);
    d->i->ends = true;
}

/* cp.async [shared], [global], bytes [, bytes of the source | , policy]; commit_group; wait_group n; wait_all
 */
static void decode_cp(const Decoder *d)
{
    Instruction *i = d->i;
    if (!i->mod[COPY]) fail_statement(d, "only cp.async is known");
    i->n_operands = (uint8_t)d->s->n;
    if (i->mod[ASYNC]) {
        i->class = PTX_BARRIER;
        i->run = i->mod[ASYNC] == M_COMMIT_GROUP ? run_cp_commit : run_cp_wait;
        i->offset = i->mod[ASYNC] == M_WAIT_GROUP ? operand(d, 0)->integer : PREVIOUS_ALL;
        return;
    }
    if (i->mod[SPACE] != M_SHARED && i->mod[SPACE] != M_SHARED_CTA)
        fail_statement(d, "expected shared.global");
    int64_t offset;
    address(d, operand(d, 0), &i->a[0], &i->offset);
    address(d, operand(d, 1), &i->b[0], &offset);
    i->target = (uint32_t)(int32_t)offset;
    if (offset != (int32_t)offset) { /* a symbol: into the slot */
        i->b[0] = module_constant(d->m, (uint64_t)offset, WIDE);
        i->target = 0;
    }
    i->bytes = (uint32_t)operand(d, 2)->integer;
    if (i->bytes != 4 && i->bytes != 8 && i->bytes != 16) fail_statement(d, "copies have 4, 8 or 16 bytes");
    if (d->s->n > 3) i->c[0] = source(d, operand(d, 3), T_u32);
    i->space = GLOBAL;
    note_access(d, i->bytes);
    i->space = SHARED;
    note_access(d, i->bytes);
}

static void decode_ldmatrix(const Decoder *d)
{
    Instruction *i = d->i;
    bool load = i->op == OP_ldmatrix;
    i->n = load ? destinations(d, operand(d, 0), i->d) : sources(d, operand(d, 1), T_b32, i->a);
    address(d, operand(d, load ? 1 : 0), &i->b[0], &i->offset);
    uint8_t n = i->mod[COUNT] == M_X4 ? 4 : i->mod[COUNT] == M_X2 ? 2 : 1;
    if (i->n != n || i->mod[SHAPE] != M_M8N8 || i->type != T_b16)
        fail_statement(d, "only m8n8 of b16 is known, with x1, x2 or x4 registers");
    i->space = (uint8_t)space_of(d, operand(d, load ? 1 : 0));
    i->bytes = 16;
    note_access(d, 4);
}

/* Registers of a, b and c; their lengths tell shapes and types that do not fit. */
static void decode_mma(const Decoder *d)
{
    Instruction *i = d->i;
    i->n = destinations(d, operand(d, 0), i->d);
    uint8_t a = sources(d, operand(d, 1), T_b32, i->a), b = sources(d, operand(d, 2), T_b32, i->b);
    uint8_t c = sources(d, operand(d, 3), T_b32, i->c);
    Type t = (Type)i->types[1], sum = (Type)i->types[0];
    unsigned k = i->mod[SHAPE] == M_M16N8K4 || i->mod[SHAPE] == M_M8N8K4 ? 4
                 : i->mod[SHAPE] == M_M16N8K8                            ? 8
                 : i->mod[SHAPE] == M_M16N8K16                           ? 16
                                                                         : 32;
    if (i->mod[ROW] != M_ROW || i->mod[COL] != M_COL) fail_statement(d, "only row.col is known");
    if (!i->mod[SHAPE] || i->mod[SHAPE] == M_M8N8 || i->mod[SHAPE] == M_M8N8K4)
        fail_statement(d, "only the shapes m16n8k are known");
    i->offset = k;
    bool integer = (t == T_s8 || t == T_u8) && sum == T_s32;
    bool real = (t == T_f16 && (sum == T_f32 || sum == T_f16)) ||
                ((t == T_bf16 || t == T_tf32 || t == T_e4m3 || t == T_e5m2) && sum == T_f32);
    unsigned registers = k * type_bits(t) / 128; /* of b: 8 columns of k, spread over 32 lanes of 4 bytes */
    if ((!integer && !real) || b != registers || a != 2 * registers || c != (sum == T_f16 ? 2 : 4) ||
        i->n != c || i->types[3] != sum || (type_bits((Type)i->types[2]) != type_bits(t)))
        fail_statement(d, "this shape with these types is not known");
}

/* ---- All of it ---- */
static void decode_instruction(PtxModule *m, PtxFunction *f, const Statement *s, Instruction *i)
{
    Decoder d = {m, f, s, i};
    Op op = find_op(&d);
    const OpInfo *info = &infos[op];
    *i = (Instruction){.run = info->run,
                       .alu = info->alu,
                       .op = (uint8_t)op,
                       .guard = NO_SLOT,
                       .line = s->line,
                       .source_line = s->source_line,
                       .return_slot = NO_SLOT};
    unsigned n_types = 0;
    for (uint32_t k = 1; k < s->n_parts; k++) sort_part(&d, info, s->parts[k], &n_types);
    i->type = i->types[0];
    i->from = n_types ? i->types[n_types - 1] : NO_TYPE;
    i->class = (uint8_t)class_of(info, i);
    if (s->guard.kind) {
        i->guard = source(&d, &s->guard, T_pred);
        i->guard_not = s->guard.negated;
    }
    info->decode(&d);
    if (!m->device->plain) vector_choose(s, i);
}

/* Device functions first: kernels have their registers and locals above those of all of them. */
static void lay_out(PtxModule *m, bool entries)
{
    for (uint32_t k = 0; k < m->functions.n; k++) {
        PtxFunction *f = m->functions.at[k];
        if (f->entry != entries) continue;
        f->first_row = m->n_rows;
        f->local_first = (uint32_t)align_up(m->local_size, 16);
        if (!entries) {
            m->n_rows += f->n_rows;
            m->local_size = f->local_first + f->local_size;
        }
    }
}

void module_decode(PtxModule *m)
{
    uint32_t n = 0, granule = 16, global = 16;
    m->n_rows = 2 * SPECIALS;
    lay_out(m, false);
    lay_out(m, true);
    for (uint32_t k = 0; k < m->functions.n; k++) {
        PtxFunction *f = m->functions.at[k];
        f->first = n;
        if (f->has_body) n += f->statements.n + 1; /* and a ret, should the last one be missing */
        f->last = n;
        f->granule = f->global_granule = 16;
    }
    m->code.at = NEW_ARRAY(&m->c, Instruction, n);
    m->code.n = n;
    m->counts = NEW_ARRAY(&m->c, PtxCount, n);
    Statement end = {.parts = {"ret"}, .n_parts = 1};
    for (uint32_t k = 0; k < m->functions.n; k++) {
        PtxFunction *f = m->functions.at[k];
        for (uint32_t s = 0; s < f->statements.n; s++)
            decode_instruction(m, f, &f->statements.at[s], &m->code.at[f->first + s]);
        if (f->has_body) decode_instruction(m, f, &end, &m->code.at[f->last - 1]);
        if (!f->entry && f->granule < granule) granule = f->granule;
        if (!f->entry && f->global_granule < global) global = f->global_granule;
    }
    for (uint32_t k = 0; k < m->functions.n; k++) { /* a kernel may call any of them */
        PtxFunction *f = m->functions.at[k];
        if (f->granule > granule) f->granule = granule;
        if (f->global_granule > global) f->global_granule = global;
    }
}
