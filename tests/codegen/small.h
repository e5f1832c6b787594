/* Kernels built by hand, compiled to a shared object, opened and run: for the tests of the code generator. */
#ifndef ATTN_TESTS_CODEGEN_SMALL_H
#define ATTN_TESTS_CODEGEN_SMALL_H

#include "codegen/jit.h"
#include "runtime/abi.h"

#define NODES(...) (Node *[]){__VA_ARGS__}
#define DIMS(...) (Index *[]){__VA_ARGS__, NULL}
#define NO_DIMS (Index *[]){NULL}
#define F STORAGE_FLOAT

typedef struct Small {
    Compilation c;
    Program program;
    Pattern pattern;
    Kernel kernel;
    BackendJob job;
    char folder[64];
    void *library;
    const AttnModule *module;
} Small;

void small_begin(Small *s, const char *name, bool f64);
void small_end(Small *s);
Index *small_index(Small *s, const char *name);
/* dims end with NULL. */
Tensor *small_tensor(Small *s, const char *name, Role role, StorageType storage, Type type,
                     Index *const *dims);
Tensor *small_buffer(Small *s, const char *name, BufferKind kind, Type type, bool exact, Index *const *dims);
Param *small_param(Small *s, const char *name, Type type);
Local *small_local(Small *s, const char *name, Type type, bool exact);
/* A phase over task indices (NULL-terminated), with an empty body. */
Phase *small_phase(Small *s, Index *const *tasks);
unsigned small_check(Small *s, CheckKind kind, const char *text, Node *test);

Statement *small_store(Small *s, Block *block, Tensor *t, Node **subscripts, Node *value);
Statement *small_set(Small *s, Block *block, Local *local, Node *value);
Statement *small_for(Small *s, Block *block, Index *variable, LoopKind kind); /* 0 .. extent */
Node *small_read(Small *s, Tensor *t, Node **subscripts);
/* t at INDEX of its own dims. */
Node *small_at(Small *s, Tensor *t);
Statement *small_store_at(Small *s, Block *block, Tensor *t, Node *value);

/* o[h, i, d] from q, k, v, causal, the positions of i and j from 0: streaming softmax with one pass over the
 * keys, the maximum and the sum rescaled as they go. */
void small_attention(Small *s);

/* Compiles for `cpu` (NULL: this machine), links, opens. */
void small_open(Small *s, const char *cpu);
/* Prepares and runs all phases of variant `number`, one thread. Returns the status. */
int small_run(Small *s, unsigned number, const AttnTensor *tensors, const int64_t *extents,
              const int64_t *params);

#endif
