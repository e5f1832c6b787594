/* The oracle: evaluates a Graph element by element, on demand, in f64, exactly as docs/language.md
 * defines. It knows nothing of the later passes. Every element of an equation is computed at most once;
 * recurrences may have any number of steps (the C stack does not grow with extents). */
#ifndef ATTN_COMPILER_INTERPRET_H
#define ATTN_COMPILER_INTERPRET_H

#include "graph.h"
#include "scalar.h"

/* Dense row-major data over tensor->dims: double, int64_t or uint8_t (0 or 1) by tensor->type. */
typedef struct InterpretTensor {
    const Tensor *tensor;
    void *data;
    bool given;              /* false: an optional input that is not bound; data is not looked at */
} InterpretTensor;

typedef struct InterpretArguments {
    const int64_t *extents;  /* by Index.number, of Pattern.indices */
    const Scalar *params;    /* by Param.number; bools as .i; those of fixed parameters are not looked at */
    /* Inputs and captures; optional ones may be missing. A tensor with a body is taken as it is given
     * instead of being evaluated: so a selection made elsewhere is handed in. */
    const InterpretTensor *tensors;
    unsigned n_tensors;
    uint64_t limit;          /* of operations (evaluated nodes); 0: none */
    uint64_t *operations;    /* interpret() puts their number here; may be NULL */
} InterpretArguments;

typedef struct Interpreter Interpreter;

/* The arguments must outlive it. Free it with interpreter_free. Errors of all functions below are texts
 * that live as long as the interpreter; those of our own making begin with "internal error". NULL: out of
 * memory. */
Interpreter *interpreter_new(const Graph *g, const InterpretArguments *arguments);
void interpreter_free(Interpreter *in);
/* The conditions of the pattern, and the declared ranges of int tensors. NULL, or what does not hold. */
const char *interpreter_conditions(Interpreter *in);
/* All elements of a tensor with a body, into dense `data` (typed as in InterpretTensor). NULL, or an
 * error. */
const char *interpreter_evaluate(Interpreter *in, const Tensor *tensor, void *data);
/* One element. NULL, or an error. */
const char *interpreter_element(Interpreter *in, const Tensor *tensor, const int64_t *at, Scalar *value);
/* Value of an expression over SIZE, PARAM and GIVEN, such as extents and cost. count(mask) costs its
 * evaluation. */
const char *interpreter_scalar(Interpreter *in, Node *expression, Scalar *value);
int64_t interpreter_extent(Interpreter *in, const Index *index); /* -1 after an error */
uint64_t interpreter_operations(const Interpreter *in);

/* Conditions, then all outputs: outputs[k].data is filled. Returns NULL or an error (in c's arena). */
const char *interpret(Compilation *c, const Graph *g, const InterpretArguments *arguments,
                      const InterpretTensor *outputs, unsigned n_outputs);

#endif
