/* One call of a pattern on host data, for `attnc run` and for tests: the same numbers go to the interpreter,
 * to the execution of Loops and to machine code, and what comes out is compared.
 *
 * Data of a tensor is row-major: double, int64_t or uint8_t (0 or 1) by its type, floats rounded to what
 * their storage type holds. Functions return NULL or what is wrong with sizes, arguments or data, in the
 * arena of the call, which may be another one than the pattern's. */
#ifndef ATTN_COMMAND_CALL_H
#define ATTN_COMMAND_CALL_H

#include "compiler/command/npy.h"
#include "compiler/graph.h"
#include "compiler/interpret.h"
#include "compiler/loops.h"
#include "compiler/scalar.h"
#include "runtime/attn.h"

typedef struct CallTensor {
    const Tensor *tensor;
    int64_t *shape;    /* as bound: 1 along ambient dimensions, a divisor along the heads may be */
    int64_t *full;     /* extents of its dimensions */
    size_t n;          /* elements of `shape` */
    void *data;
    bool given;        /* false: an optional tensor that is not bound */
} CallTensor;

typedef struct Call {
    Compilation *c;
    Pattern *pattern;
    bool f64;
    bool tf32;         /* products of f32 are of tf32 */
    StorageType real;  /* of `float` tensors; FLOAT: f32, or f64 */
    int64_t *extents;  /* by Index.number; -1: not known yet */
    Scalar *params;    /* by Param.number */
    bool *param_set;
    CallTensor *tensors; /* by Tensor.number; outputs have no data */
    uint64_t limit;    /* of the interpreter's operations; 0: none */
    size_t most_reals; /* real inputs of more elements get no numbers; 0: all do */
} Call;

StorageType call_storage(const Call *call, const Tensor *t);
void call_init(Call *call, Compilation *c, Pattern *pattern, bool f64);
/* What is given goes before the pattern's `example`. */
const char *call_set_size(Call *call, const char *index, int64_t extent);
const char *call_set_param(Call *call, const char *param, double value);
CallTensor *call_find_input(Call *call, const char *tensor); /* NULL: there is none */
const char *call_set_array(Call *call, const char *tensor, const Array *array);
/* Extents, parameters and inputs that were not given: from the `example`, else by default; drawn from `seed`
 * and the name of the tensor. With `optional`, optional inputs and outputs are bound too. */
const char *call_complete(Call *call, uint64_t seed, bool optional);

/* Results: by Tensor.number, outputs that are `given` alone, dense over `full`. */
typedef struct CallResult {
    void **data;
    double seconds;       /* of the run itself */
    uint64_t operations;  /* interpreter, loops */
    uint64_t stores;      /* loops */
} CallResult;

/* Inputs, extents and parameters as the interpreter takes them, in the arena of the call. */
InterpretArguments *call_arguments(Call *call);
const char *call_interpret(Call *call, const Graph *graph, CallResult *result);
const char *call_execute(Call *call, const Kernel *kernel, CallResult *result);

/* Where tensors lie: against an unreadable page at their end or at their beginning. */
typedef enum CallGuard { GUARD_NONE, GUARD_END, GUARD_BEGIN } CallGuard;
/* In which order: row-major, the first dimension fastest, or row-major from the last element down. */
typedef enum CallLayout { LAYOUT_DENSE, LAYOUT_TRANSPOSED, LAYOUT_BACKWARDS } CallLayout;
typedef struct CallOptions {
    int threads;
    CallGuard guard;
    CallLayout layout;
    unsigned repeat; /* 0: once */
    double *times;   /* of every run (repeat of them), or NULL */
    double enough;   /* seconds after which no further run begins once three have ended; 0: no limit */
    unsigned *ran;   /* runs; or NULL */
} CallOptions;
const char *call_machine(Call *call, AttnLibrary *library, const CallOptions *options, CallResult *result);

/* Residuals of one output. Places of NaN and infinities must agree, and ints and bools be equal; a reference
 * of zeros alone needs zeros. */
typedef struct Difference {
    double rms;           /* sqrt(sum (x - r)^2 / sum r^2) over finite numbers */
    size_t places;        /* elements that disagree about NaN, infinity, or an int or bool value */
    size_t worst;         /* number of the element with the largest difference, or the first of `places` */
    double got, expected; /* there */
} Difference;
Difference call_compare(const CallTensor *t, const void *result, const void *reference);
/* Largest rms that the storage type allows: f32, f64, and f64 where a recurrence is long. */
double call_threshold(const Call *call, const CallTensor *t);
size_t call_elements(const int64_t *shape, unsigned rank);
uint64_t call_checksum(const CallTensor *t, const void *data);
double call_now(void); /* seconds of a clock that does not jump */

#endif
