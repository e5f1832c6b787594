/* Loops -> LLVM IR, shared by the emit_*.c files.
 *   emit.c            a kernel: layout, prepare, phases    emit_tensor.c   buffers: addresses, loads, stores
 *   emit_node.c       expressions                          emit_support.c  what every kernel needs
 *   emit_statement.c  statements                           emit_debug.c    line tables
 *   emit_heads.c      heads that share keys                emit_direct.c   the direct C entries
 *   describe.c        what the module says of itself
 * An Emitter lives for one module; its `function` part is reset for every function. */
#ifndef ATTN_CODEGEN_CPU_EMIT_H
#define ATTN_CODEGEN_CPU_EMIT_H

#include "codegen/codegen.h"
#include "codegen/cpu/llvm.h"
#include "codegen/cpu/target.h"
#include "compiler/backend.h"
#include "runtime/abi.h"

/* A buffer inside the current function. */
typedef struct EmitBuffer {
    const Buffer *buffer;
    bool used;               /* the current phase touches it */
    LLVMTypeRef element;     /* in memory; NULL: any integer type, see `type` */
    LLVMValueRef data, type; /* type: AttnType of a bound int tensor */
    LLVMValueRef *strides, *extents; /* per dimension, i64 */
    LLVMValueRef group;      /* divides the coordinate of dimension `heads`; NULL: none */
    int heads;
    LLVMValueRef head_of[4], head[4]; /* coordinates, and what they are divided by the group, */
    unsigned n_heads;                 /* so many: that of the loop first, if there is one */
    bool constant;           /* nothing writes it during a call */
    unsigned scope;          /* buffers that may overlap have one scope */
    LLVMValueRef alias, noalias; /* metadata */
} EmitBuffer;

/* What the listed coordinates of a read come to, by the variable at which the lists are read (emit_place.c). */
typedef struct EmitPlace { const Node *read; uint32_t dims; const Index *variable; LLVMTypeRef type; LLVMValueRef table; } EmitPlace;

typedef struct Emitter {
    Compilation *c;
    const BackendJob *job;
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef b, allocas;
    LLVMTypeRef none, i1, i8, i16, i32, i64, half, f32, f64, ptr;
    LLVMTypeRef real;        /* the compute type */
    const Statement *loop;   /* the innermost one around */
    LLVMTypeRef tensor_type, call_type, plan_type;
    unsigned kind_scope, kind_noalias, kind_invariant, kind_range, kind_loop;
    /* kernel */
    const Kernel *kernel;
    const Pattern *pattern;
    const int64_t *fixed;
    const Cpu *cpu;
    const char *entry;       /* prefix of its symbols */
    LLVMValueRef layout;     /* function: sizes of buffers; NULL: there are none */
    LLVMValueRef load_int, store_int, fail, philox;
    unsigned n_buffers;
    EmitBuffer *buffers;
    uint32_t *buffer_of;     /* by Tensor.id: number + 1 */
    uint8_t *facts;          /* by Node.id: see emit_node.c */
    uint32_t n_nodes;
    uint32_t *seen, stamp;   /* by Node.id: walks over the nodes of a phase */
    /* function */
    LLVMValueRef function, call, scratch, offsets, tensors, workspace, status;
    LLVMValueRef *indices;   /* by Index.id: current value of the variable */
    LLVMValueRef *extents;   /* by Pattern.indices */
    LLVMValueRef *params;    /* by Pattern.params */
    LLVMValueRef *locals;    /* by Local.id: its alloca */
    LLVMValueRef *memo;      /* by Node.id: value in the current statement */
    VEC(uint32_t) trail;     /* ids in `memo`, for leaving branches and statements */
    LLVMValueRef overflow;   /* a flag that int arithmetic sets when it wraps; NULL: it may wrap unseen */
    /* inside a VECTOR loop: emit_lanes.c */
    unsigned lanes;          /* of its vectors; 0 outside */
    const Index *lane;       /* its variable */
    LLVMValueRef first_lane; /* the least of its values */
    bool *varying;           /* by Local.id: differs between lanes */
    uint8_t *varies;         /* by Node.id: found so far */
    bool jammed;             /* inside a JAM loop: lanes meet streamed keys */
    VEC(EmitPlace) places;   /* tables that are filled here */
    /* -g */
    LLVMDIBuilderRef di;
    LLVMMetadataRef di_unit, di_type, di_scope, *di_files, *di_scopes;
} Emitter;

/* --- emit.c */
void emitter_init(Emitter *e, const BackendJob *job, LLVMContextRef context, LLVMModuleRef module);
void emitter_free(Emitter *e);
/* Functions `ENTRY.prepare` (AttnPrepare) and `ENTRY.phase` (AttnPhase), internal. */
typedef struct EmittedKernel { LLVMValueRef prepare, phase; } EmittedKernel;
EmittedKernel emit_kernel(Emitter *e, const Kernel *kernel, const int64_t *fixed, const Cpu *cpu,
                          const char *entry);
/* Turns to another kernel or entry: forgets all values. */
void emit_begin(Emitter *e, const Kernel *kernel, const int64_t *fixed, const Cpu *cpu, const char *entry);
/* A new internal function, with an entry block for allocas that falls into a block where the builder is. */
LLVMValueRef emit_function(Emitter *e, const char *name, LLVMTypeRef type);
LLVMTypeRef emit_phase_type(Emitter *e);   /* of AttnPhase */
LLVMTypeRef emit_prepare_type(Emitter *e); /* of AttnPrepare */
/* Loads pointers, extents and parameters of `call` (an AttnCall) into the function part. */
void emit_call_values(Emitter *e, LLVMValueRef call);
LLVMValueRef emit_field(Emitter *e, LLVMTypeRef record, LLVMValueRef at, unsigned field, LLVMTypeRef type);

/* Indices of tensors of the signature whose extents follow from others, in order of appearance: they stand
 * behind Pattern.indices in AttnPattern.indices and AttnCall.extents, and each adds a check behind those of
 * the kernel. */
typedef VEC(const Index *) IndexList;
IndexList emit_derived_indices(Compilation *c, const Pattern *pattern);
int emit_index_number(const Pattern *pattern, const IndexList *derived, const Index *index);

/* --- emit_support.c: small things */
LLVMValueRef emit_int(Emitter *e, int64_t value);
LLVMValueRef emit_i32(Emitter *e, int64_t value);
LLVMValueRef emit_flag(Emitter *e, bool value);
/* The address of an element; emit_load_nth: the element. */
LLVMValueRef emit_at(Emitter *e, LLVMTypeRef type, LLVMValueRef base, LLVMValueRef offset);
LLVMValueRef emit_nth(Emitter *e, LLVMTypeRef type, LLVMValueRef base, int64_t offset);
LLVMValueRef emit_load_nth(Emitter *e, LLVMTypeRef type, LLVMValueRef base, int64_t offset);
LLVMValueRef emit_alloca(Emitter *e, LLVMTypeRef type, const char *name);
LLVMBasicBlockRef emit_block(Emitter *e, const char *name);
LLVMBasicBlockRef emit_here(Emitter *e);
LLVMValueRef emit_phi2(Emitter *e, LLVMTypeRef type, LLVMValueRef a, LLVMBasicBlockRef from_a, LLVMValueRef b,
                       LLVMBasicBlockRef from_b);
/* Calls intrinsic `name`; overloads: its type parameters. */
LLVMValueRef emit_intrinsic(Emitter *e, const char *name, LLVMTypeRef *overloads, unsigned n_overloads,
                            LLVMValueRef *args, unsigned n_args);
LLVMValueRef emit_intrinsic1(Emitter *e, const char *name, LLVMValueRef a); /* overloaded on a's type */
LLVMValueRef emit_intrinsic2(Emitter *e, const char *name, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_call(Emitter *e, LLVMValueRef function, LLVMValueRef *args, unsigned n);
void emit_attribute(Emitter *e, LLVMValueRef function, const char *name);
void emit_cpu_attributes(Emitter *e, LLVMValueRef function);
/* key: llvm.loop... = true, or NULL; width: of vectors, or 0 */
void emit_loop_metadata(Emitter *e, LLVMValueRef branch, const char *key, unsigned width);
void emit_support(Emitter *e); /* load_int, store_int, fail, philox of this kernel */

/* --- emit_node.c */
/* The value of n: i64, i1, or a real in its own type (f64 if exact, else the compute type). */
LLVMValueRef emit_node(Emitter *e, const Node *n);
LLVMValueRef emit_real(Emitter *e, const Node *n, LLVMTypeRef type); /* ... as f32 or f64 */
LLVMValueRef emit_extent(Emitter *e, const Index *index);            /* never negative */
bool emit_exact(Emitter *e, const Node *n);
/* x // y or x % y of scalars by a call: LLVM moves a division back into loops, even one that it has hoisted. */
LLVMValueRef emit_divide(Emitter *e, LLVMValueRef x, LLVMValueRef y, bool modulo);
LLVMTypeRef emit_local_type(Emitter *e, const Local *local);
LLVMValueRef emit_local(Emitter *e, const Local *local); /* its alloca */
uint32_t emit_mark(Emitter *e);                          /* values found from here on ... */
void emit_forget(Emitter *e, uint32_t mark);             /* ... are forgotten */
void emit_fail_unless(Emitter *e, LLVMValueRef condition, unsigned check);

/* --- emit_lanes.c: values that differ between the lanes of a VECTOR loop are vectors, all others stay scalars */
bool emit_varies(Emitter *e, const Node *n);
LLVMTypeRef emit_vector(Emitter *e, LLVMTypeRef element);                /* of the current lanes */
bool emit_is_vector(LLVMValueRef v);
LLVMValueRef emit_spread(Emitter *e, LLVMValueRef v);                    /* a scalar in all lanes; vectors as they are */
void emit_match(Emitter *e, LLVMValueRef *x, LLVMValueRef *y);           /* if one is a vector, both become one */
LLVMTypeRef emit_shape(Emitter *e, LLVMTypeRef element, LLVMValueRef as); /* element, or a vector of it if `as` is one */
LLVMValueRef emit_int_like(Emitter *e, LLVMValueRef as, int64_t x);      /* a constant of as's int type */
LLVMValueRef emit_lane_numbers(Emitter *e);                              /* 0, 1, 2, ... */
/* One scalar call per lane, in a loop: for what has no vector form. Vectors among args give their lanes. */
LLVMValueRef emit_call_lanes(Emitter *e, LLVMValueRef function, LLVMValueRef *args, unsigned n, LLVMTypeRef result);
bool emit_block_varies(Emitter *e, const Block *block);                   /* does anything in it? */
void emit_vector_loop(Emitter *e, const Statement *s);
void emit_jam_loop(Emitter *e, const Statement *s);
/* while (from + step <= hi) { body(at = from); from += step }: where it ended. */
LLVMValueRef emit_steps(Emitter *e, const char *name, LLVMValueRef from, LLVMValueRef hi, unsigned step,
                        void (*body)(void *, LLVMValueRef at), void *context);

/* --- emit_place.c */
void emit_places(Emitter *e, const Block *body);         /* tables for what loops in the body of a JAM loop read */
/* The offset of listed coordinates from a table, here, and which these are; NULL: there is none. */
LLVMValueRef emit_place(Emitter *e, const Node *read, uint32_t *dims);

/* --- emit_transpose.c: false: not of that form, nothing was emitted */
bool emit_transpose_loop(Emitter *e, const Statement *s);

/* --- emit_heads.c */
LLVMValueRef emit_known_head(const EmitBuffer *b, LLVMValueRef x); /* NULL: not divided yet */
/* The variable has a new value: divides it at once where it is a coordinate of heads in `body`, as LLVM does
 * not hoist divisions. */
void emit_divide_heads(Emitter *e, const Index *variable, const Block *body);
/* The division by the group that a read needs, here; known until the mark is forgotten. */
void emit_divide_head(Emitter *e, const Node *read);
unsigned *emit_heads_mark(Emitter *e);
void emit_heads_forget(Emitter *e, const unsigned *mark);

/* --- emit_tensor.c */
void emit_buffers_init(Emitter *e);
void emit_buffers_used(Emitter *e, const Phase *phase); /* marks and sets up those that the phase touches */
LLVMValueRef emit_layout(Emitter *e);                   /* the function behind Emitter.layout */
LLVMValueRef emit_read(Emitter *e, const Node *n);
void emit_store(Emitter *e, const Tensor *tensor, Node *const *subscripts, const Node *value);
const EmitBuffer *emit_buffer(const Emitter *e, const Tensor *tensor);
/* The stride along the last dimension, which is `stride` from here on unless that is NULL. */
LLVMValueRef emit_unit(Emitter *e, const Tensor *tensor, LLVMValueRef stride);
void emit_prefetch(Emitter *e, const Statement *s);
LLVMValueRef emit_element(Emitter *e, const Tensor *tensor, Node *const *subscripts); /* its address */

/* --- emit_statement.c */
void emit_statements(Emitter *e, const Block *block);
void emit_counted_loop(Emitter *e, const Statement *s, void (*emit_body)(void *, const Statement *), void *context);

/* --- emit_debug.c: all do nothing without -g */
void emit_debug_begin(Emitter *e);
void emit_debug_function(Emitter *e, LLVMValueRef function, Span span);
void emit_debug_place(Emitter *e, Span span);
void emit_debug_end(Emitter *e);

/* --- emit_direct.c: the entries that codegen/header.h declares */
typedef struct DirectVariant {
    const int64_t *fixed;
    EmittedKernel kernel;
    const Kernel *loops;
} DirectVariant;
void emit_direct(Emitter *e, const Cpu *cpu, const DirectVariant *variants, unsigned n); /* of one pattern */

/* --- describe.c: the exported AttnModule and the note */
typedef struct Described {
    const Variant *variant;
    const Cpu *cpu;
    EmittedKernel kernel;
    const AttnCuda *cuda; /* NULL: code for CPUs */
} Described;
void describe_module(Emitter *e, const Described *variants, unsigned n);

#endif
