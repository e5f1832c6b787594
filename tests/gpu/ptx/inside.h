/* Inside the PTX device: a module as parsed and decoded, and a block while it runs. */
#ifndef ATTN_TESTS_GPU_PTX_INSIDE_H
#define ATTN_TESTS_GPU_PTX_INSIDE_H

#include <string.h>

#include "lang/base.h"
#include "ptx.h"

enum { LANES = 32, MAX_WARPS = 32, MAX_BARRIERS = 16, MAX_VECTOR = 8, PREVIOUS_ALL = -1 };
#define FULL 0xffffffffu

typedef enum Kind { BITS, UNSIGNED, SIGNED, FLOAT, PREDICATE } Kind;
typedef enum Type {
    NO_TYPE,
#define TYPE(name, bits, kind) T_##name,
#include "type_list.h"
#undef TYPE
    TYPES
} Type;
unsigned type_bits(Type t);
Kind type_kind(Type t);
Type type_find(const char *text, size_t length); /* NO_TYPE: none of this name */

/* Groups of modifiers; the list has many words of each. */
typedef enum Group {
    ROUND, FTZ, SAT, RELU, APPROX, CARRY, NANS, XORSIGN, ABS, HALF, COMPARE, LOGIC, TEST, SHUFFLE, VOTE,
    SHIFT, WRAP, SHIFTAMT, PERMUTE, TO, SPACE, VECTOR, COUNT, TRANS, SHAPE, ROW, COL, SYNC, WARP, ASYNC, COPY,
    HINT, GROUPS
} Group;
typedef enum Modifier {
    M_NONE,
#define MODIFIER(text, group, name) M_##name,
#include "modifier_list.h"
#undef MODIFIER
    MODIFIERS
} Modifier;
typedef enum Op {
#define OP(name, decoder, function, class, groups) OP_##name,
#include "opcode_list.h"
#undef OP
    OPS
} Op;

/* Memory. A generic address is a host address, or lies in a window that no host address is in. */
typedef enum Space { GENERIC, GLOBAL, SHARED, LOCAL, PARAM, CONSTANT } Space;
#define SHARED_WINDOW 0x5a00000000000000ull
#define LOCAL_WINDOW 0x5b00000000000000ull
#define PARAM_WINDOW 0x5c00000000000000ull
#define WINDOW_MASK 0xff00000000000000ull

typedef struct Allocation {
    uint64_t address;
    size_t bytes;
    bool own;
    uint8_t *written;           /* shadow, per byte; NULL: none */
    uint32_t *writer, *reader;  /* stamps of blocks, per granule of the kernel of their launch */
} Allocation;
struct PtxDevice {
    Allocation *allocations; /* sorted by address */
    uint32_t n, capacity, recent; /* recent: where the last access was */
    uint32_t launch, stamp; /* of the shadows */
    uint64_t limit;
    bool plain;             /* ptx_set_plain */
    char error[1024];
};
const Allocation *memory_find(PtxDevice *device, uint64_t address, size_t bytes); /* NULL: not inside one */
void memory_begin_launch(PtxDevice *device, uint64_t blocks);
void memory_free_all(PtxDevice *device);

/* ---- The text: symbols, statements ---- */
typedef enum SymbolKind { REGISTER, VARIABLE, LABEL, FUNCTION } SymbolKind;
typedef struct Symbol {
    const char *name;
    SymbolKind kind;
    struct Symbol *outer;   /* that it hides */
    Type type;
    int32_t slot;           /* REGISTER: its first row in its function */
    Space space;            /* VARIABLE */
    uint32_t align, offset; /* offset: in the space of its function; GLOBAL, CONSTANT: `address` instead */
    uint64_t size, address;
    bool dynamic;           /* extern shared */
    uint32_t pc;            /* LABEL */
    bool defined;
    PtxFunction *function;  /* FUNCTION */
    VEC(struct Symbol *) targets; /* LABEL of .branchtargets: of brx.idx */
} Symbol;

typedef enum OperandKind {
    O_NONE, O_REGISTER, O_SPECIAL, O_INTEGER, O_DOUBLE, O_SYMBOL, O_ADDRESS, O_VECTOR, O_SINK
} OperandKind;
typedef struct Operand {
    OperandKind kind;
    bool negated;           /* !p */
    Type type;              /* of a register */
    int32_t slot;           /* REGISTER: its first row in its function; SPECIAL: its number */
    int64_t integer;        /* also the offset of a symbol or an address */
    double number;
    Symbol *symbol;         /* SYMBOL; ADDRESS: its base, or NULL */
    struct Operand *at;     /* VECTOR; also d|p: the second one */
    uint32_t n;
} Operand;

enum { MAX_OPERANDS = 8, MAX_PARTS = 16 };
typedef struct Statement {
    const char *parts[MAX_PARTS]; /* "mad", "wide", "u32" */
    uint32_t n_parts, n;
    Operand *operands;      /* n */
    Operand guard;          /* NONE, or a predicate */
    bool ends_call;         /* stands after a call: takes its results */
    uint32_t line, source_line;
    Symbol *callee;
    VEC(Symbol *) arguments, results; /* of a call */
} Statement;

/* ---- Decoded ---- */
typedef struct Instruction Instruction;
typedef struct Warp Warp;
typedef uint64_t Alu(const Instruction *i, uint64_t a, uint64_t b, uint64_t c);
typedef void Run(Warp *w, const Instruction *i, uint32_t mask); /* mask: lanes whose guard holds */
enum { NO_SLOT = INT32_MAX };
typedef struct Copy { uint32_t from, to, bytes; } Copy; /* in local memory */

struct Instruction {
    Run *run;
    Alu *alu;
    int32_t guard;           /* a slot */
    bool guard_not, ends;    /* ends: changes the pc itself */
    uint8_t n, n_operands;   /* n: elements of a vector */
    uint8_t type, from, types[4];
    uint8_t op, class, space;
    uint8_t d_bits;          /* of the register of the result */
    bool not_a, not_c;
    bool strong;             /* volatile, relaxed and so on: meant for other threads */
    uint32_t bytes;          /* of an access, whole vector */
    int64_t offset;          /* of an address; an immediate count */
    int32_t d[MAX_VECTOR], a[MAX_VECTOR], b[MAX_VECTOR], c[MAX_VECTOR], e; /* slots */
    uint8_t mod[GROUPS];     /* Modifier, 0: none */
    uint32_t target;         /* pc */
    uint32_t line, source_line;
    const Symbol *symbol;    /* targets of brx */
    Copy *copies;            /* arguments of a call; results at its end */
    uint32_t n_copies;
    int32_t return_slot;     /* call: the callee's; ret: the own one, or NO_SLOT in a kernel */
};

/* Where a register is: 4 row + width. A row has one number of 32 bits for each lane; registers of 64 bits
 * have two rows, as LANES numbers of 64 bits. A predicate is the first word of its row, a bit a lane. Constants
 * lie in the rows below 0. */
typedef enum Width { WORD, WIDE, BIT } Width;
static inline Width width_of(Type t)
{
    return type_kind(t) == PREDICATE ? BIT : type_bits(t) == 64 ? WIDE : WORD;
}
static inline int32_t rows_of(Width width) { return width == WIDE ? 2 : 1; }
static inline int32_t slot_at(int32_t row, Width width) { return row * 4 + (int32_t)width; }
typedef struct Constant { uint64_t value; int32_t slot; } Constant;

typedef struct PtxLoop { uint32_t first, end; } PtxLoop; /* pcs [first, end) */

struct PtxFunction {
    const char *name;
    PtxModule *module;
    bool entry, has_body;
    uint32_t first, last;           /* pcs [first, last) */
    uint32_t params_size, shared_size, local_size, max_threads;
    uint32_t local_first;           /* its part of the local memory of a thread */
    int32_t first_row, n_rows;      /* its registers */
    uint32_t granule, global_granule; /* the least bytes of an access to shared and to global memory */
    int32_t return_slot;            /* holds the pc to go back to; NO_SLOT for kernels */
    VEC(Symbol *) params, results;  /* variables */
    VEC(Statement) statements;
    VEC(PtxBlockCount) blocks;
    VEC(PtxLoop) loops;
};

struct PtxModule {
    Compilation c;
    PtxDevice *device;
    VEC(PtxFunction *) functions;
    VEC(Symbol *) variables;        /* .global and .const: allocations of the device */
    VEC(Constant) constants;
    int32_t constant_rows;
    VEC(Instruction) code;
    PtxCount *counts;               /* per instruction */
    int32_t n_rows;                 /* special registers and those of device functions */
    uint32_t shared_size;           /* of the module's own variables */
    uint32_t local_size;            /* of all device functions */
    const char *text;
};

/* Leaves the current pass or launch with this text. */
_Noreturn void module_fail(PtxModule *m, uint32_t line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void module_parse(PtxModule *m, const char *text, size_t length);  /* functions, variables, statements */
void module_decode(PtxModule *m);                                  /* code */
void module_blocks(PtxModule *m);                                  /* PtxFunction.blocks */

/* Special registers have the first slots of a warp. */
typedef enum Special {
#define SPECIAL(name, text, type) S_##name,
#include "special_list.h"
#undef SPECIAL
    SPECIALS
} Special;

/* ---- Running ---- */
typedef struct Path { uint32_t mask, pc, depth; bool waits; } Path; /* lanes that are at one instruction */

typedef enum WarpState { RUNNING, AT_BARRIER, ENDED } WarpState;
typedef struct Pending { /* cp.async of one warp */
    uint32_t mask, bytes;
    uint32_t group[LANES], to[LANES];
    unsigned char data[LANES][16];
} Pending;

typedef struct Block Block;
struct Warp {
    Block *block;
    uint32_t *rows;             /* [row][LANES]; constants are below */
    uint32_t number, first_thread;
    uint32_t live;              /* lanes that have not ended */
    Path path;                  /* what runs */
    Path others[LANES];
    uint32_t n_others;
    WarpState state;
    bool moved;                 /* the instruction has set the path itself */
    uint32_t barrier;           /* where it waits */
    const Instruction *waiting; /* bar.red: takes its result */
    uint32_t clock[MAX_WARPS];  /* vector clock */
    uint32_t sync;              /* number of the interval since its lanes were last ordered */
    uint32_t floor;             /* everything of the block up to this time happened before */
    uint8_t carry[LANES];
    uint32_t committed[LANES];  /* groups of cp.async */
    VEC(Pending) pending;
};

typedef struct Barrier {
    uint32_t arrived, expected; /* warps; expected 0: nobody is there */
    bool counted;               /* the instruction says how many threads */
    uint32_t clock[MAX_WARPS];
    uint32_t n_true;            /* bar.red: threads whose predicate holds */
    uint32_t n_threads;
} Barrier;

/* Shared memory with its shadow: one entry per granule. */
typedef struct Shadow {
    uint32_t *writer;   /* time << 6 | strong << 5 | warp */
    uint32_t *writer_line;
    uint32_t *write_sync, *read_sync, *read_lanes; /* within a warp: in which interval, by which lanes */
    uint8_t *write_lane;
    uint32_t *reader;   /* [warp][granule]: time */
    uint8_t *pending;   /* a cp.async is under way */
    uint32_t granule, base, n; /* base: time at which the block began */
} Shadow;

struct Block {
    PtxDevice *device;
    PtxModule *module;
    const PtxFunction *function;
    const PtxLaunch *launch;
    Compilation c;              /* of the launch */
    uint32_t at[3], n_threads, n_warps;
    Warp *warps;
    Barrier barriers[MAX_BARRIERS];
    uint32_t time;              /* grows with every barrier, never reset between blocks */
    uint32_t syncs;             /* the last number of an interval */
    unsigned char *shared, *local;
    uint32_t shared_bytes, local_bytes; /* local: per thread */
    Shadow shadow;
    uint32_t stamp;             /* in shadows of global memory */
    bool synchronised;          /* with other blocks */
    bool alone;                 /* there are none */
    unsigned granule_shift;     /* 2^this is its function's global_granule */
    uint64_t left;              /* instructions until the limit */
    const Instruction *now;     /* for messages */
    PtxCount *count;            /* of it */
};

_Noreturn void run_fail(Warp *w, uint32_t lane, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static inline uint64_t keep_bits(uint64_t v, unsigned bits)
{
    return bits < 64 ? v & ((1ull << bits) - 1) : v;
}

/* Registers and constants. */
typedef uint32_t __attribute__((may_alias)) Word;
typedef uint64_t __attribute__((may_alias)) Wide;
static inline Width slot_width(int32_t slot) { return (Width)(slot & 3); }
static inline Word *words(const Warp *w, int32_t slot) { return w->rows + (ptrdiff_t)(slot >> 2) * LANES; }
static inline Wide *wides(const Warp *w, int32_t slot) { return (Wide *)(void *)words(w, slot); }
static inline uint64_t get(const Warp *w, int32_t slot, uint32_t lane)
{
    if (slot_width(slot) == WORD) return words(w, slot)[lane];
    return slot_width(slot) == WIDE ? wides(w, slot)[lane] : *words(w, slot) >> lane & 1;
}
/* The lanes in which a predicate holds; other lanes than those of the mask keep what they have. */
static inline uint32_t get_bits(const Warp *w, int32_t slot) { return *words(w, slot); }
static inline void put_bits(const Warp *w, int32_t slot, uint32_t mask, uint32_t bits)
{
    Word *p = words(w, slot);
    *p = (*p & ~mask) | (bits & mask);
}
static inline void put(const Warp *w, int32_t slot, uint32_t lane, uint64_t v)
{
    if (slot_width(slot) == WORD)
        words(w, slot)[lane] = (uint32_t)v;
    else if (slot_width(slot) == WIDE)
        wides(w, slot)[lane] = v;
    else
        put_bits(w, slot, 1u << lane, (uint32_t)(v & 1) << lane);
}
static inline void put_words(const Warp *w, int32_t slot, uint32_t mask, const uint32_t v[LANES])
{
    Word *to = words(w, slot);
    if (mask == FULL)
        memcpy(to, v, LANES * sizeof *v);
    else
        for (uint32_t lane = 0; lane < LANES; lane++) to[lane] = mask >> lane & 1 ? v[lane] : to[lane];
}
static inline void put_wides(const Warp *w, int32_t slot, uint32_t mask, const uint64_t v[LANES])
{
    Wide *to = wides(w, slot);
    if (mask == FULL)
        memcpy(to, v, LANES * sizeof *v);
    else
        for (uint32_t lane = 0; lane < LANES; lane++) to[lane] = mask >> lane & 1 ? v[lane] : to[lane];
}
/* The numbers of all lanes in 64 bits: `v`, or where they are. */
static inline const Wide *widened(const Warp *w, int32_t slot, uint64_t v[LANES])
{
    if (slot_width(slot) == WIDE) return wides(w, slot);
    for (uint32_t lane = 0; lane < LANES; lane++) v[lane] = words(w, slot)[lane];
    return v;
}
#define EACH(lane, mask) \
    for (uint32_t left_ = (mask), lane; left_ && (lane = (uint32_t)__builtin_ctz(left_), true); \
         left_ &= left_ - 1)

/* Executors, named by opcode_list.h. */
#define RUNS(X) \
    X(alu) X(carry) X(activemask) X(atom) X(bar) X(bar_warp) X(bra) X(brx) X(call) X(call_end) X(cp_async) \
    X(cp_commit) X(cp_wait) X(exit) X(nothing) X(load) X(ldmatrix) X(stmatrix) X(match) X(mma) X(movmatrix) \
    X(mov_pack) X(mov_unpack) X(redux) X(ret) X(set) X(setp) X(shfl) X(store) X(trap) X(vote)
#define DECLARE(name) void run_##name(Warp *w, const Instruction *i, uint32_t mask);
RUNS(DECLARE)
#undef DECLARE

/* Runs it on all lanes at once from now on, if there is a function for that (vector.c). */
void vector_choose(const Statement *s, Instruction *i);
typedef struct VectorEntry { /* widths of the result and up to three sources; NO_WIDTH: of none */
    const char *name;        /* "add_s32" */
    Run *run;
    uint8_t width[4];
} VectorEntry;
enum { NO_WIDTH = 3 };
const VectorEntry *vector_entry(uint32_t n); /* or NULL: there are no more */

/* atomic: reads and writes; strong: meant for other threads; matrix: for all lanes of the warp. */
typedef struct Access { uint32_t bytes; bool write, atomic, strong, matrix; } Access;
/* The host's bytes behind an access of one lane; ends the launch when it is not allowed. `space` becomes the
 * one that a generic address is in, and `address` the one in it. */
unsigned char *memory_at(Warp *w, Space *space, uint32_t lane, uint64_t *address, Access access);
const char *access_verb(Access access);
unsigned char *global_at(Warp *w, uint32_t lane, uint64_t address, Access access);
/* The same for shared memory, against its shadow; two strong accesses are no race. */
unsigned char *shared_at(Warp *w, uint32_t lane, uint64_t address, Access access);

/* What the lanes of a mask ask for at once. TOGETHER: one address; IN_ORDER: one behind the other, in the order
 * of the lanes, which are neighbours. */
typedef enum Shape { SCATTERED, TOGETHER, IN_ORDER } Shape;
typedef struct Request {
    Access access;
    Space space;
    Shape shape;
    uint32_t mask, first;         /* first: its first lane */
    uint64_t at[LANES];           /* lanes that are not in the mask: as the first one */
    unsigned char *bytes[LANES];  /* of the host, once it is allowed; of all lanes, too */
} Request;
void request_shape(Request *r);   /* of its addresses */
void memory_request(Warp *w, Request *r); /* as memory_at, for all of them; counts the traffic */
/* Are all of them allowed, and noted? Else nothing has happened: ask for one lane after the other. */
bool global_request(Warp *w, const Request *r);
bool shared_request(Warp *w, const Request *r);
void shared_begin_block(Block *b);
/* A cp.async begins and ends: nobody may look in between. */
void shared_pend(Warp *w, uint32_t lane, uint64_t address, uint32_t bytes);
void shared_arrive(Warp *w, uint32_t lane, uint64_t address, const unsigned char *data, uint32_t bytes);
/* Sectors or bank conflicts of one request. */
void traffic_count(Warp *w, const Request *r);

/* Waits until all lanes of `need` are here. False: those of the mask have been put aside. */
bool warp_converged(Warp *w, uint32_t mask, uint32_t need);
void warp_go(Warp *w, uint32_t mask, uint32_t pc, uint32_t depth); /* these lanes go elsewhere */
void warp_merge(Warp *w);              /* joins lanes at the same place, picks what runs next */

/* Numbers (number.c). Rounding by Modifier: RN, RZ, RM, RP. */
double half_to_double(uint64_t bits);
double bfloat_to_double(uint64_t bits);
/* IEEE, with so many bits. */
uint64_t double_to_small(double x, unsigned exponent, unsigned mantissa, Modifier round);
uint64_t double_to_half(double x, Modifier round);
uint64_t double_to_bfloat(double x, Modifier round);
double to_double(Type t, uint64_t bits);             /* of one element; exact */
uint64_t from_double(Type t, double x, Modifier round);
static inline float as_float(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float x;
    return memcpy(&x, &low, sizeof x), x;
}
static inline double as_double(uint64_t bits)
{
    double x;
    return memcpy(&x, &bits, sizeof x), x;
}
uint64_t float_bits(float x);                        /* NaN becomes canonical */
uint64_t double_bits(double x);
double add_to_odd(double a, double b); /* inexact sums get an odd last bit: rounding again is safe */
uint64_t widen(Type t, uint64_t v);                  /* sign- or zero-extended from the type's bits */

/* One lane. A fourth operand (bfi, lop3) stands in the upper half of the third. */
#define ALU(name) uint64_t alu_##name(const Instruction *i, uint64_t a, uint64_t b, uint64_t c);
#include "alu_list.h"
#undef ALU
uint64_t alu_cvta_to(const Instruction *i, uint64_t a, uint64_t b, uint64_t c);
uint64_t alu_cvta_from(const Instruction *i, uint64_t a, uint64_t b, uint64_t c);
/* The float halves of those that integers share. */
typedef enum FloatOp { F_ADD, F_SUB, F_MUL, F_FMA, F_MIN, F_MAX, F_NEG, F_ABS, F_DIV } FloatOp;
uint64_t float_op(FloatOp op, const Instruction *i, uint64_t a, uint64_t b, uint64_t c);
bool compare(Modifier m, Type t, bool ftz, uint64_t a, uint64_t b);

#endif
