/* compiler: Program in, Graph, Plan and Loops out; and the oracle. This header is the folder's table of contents.
 *   graph.h      the equations of a pattern                graph*.c
 *   scalar.h     what the operations mean on numbers       scalar.c
 *   interpret.h  the oracle: elements on demand, in f64    interpret*.c
 *   execute.h    Loops run directly, checked and counted   execute*.c */
#ifndef ATTN_COMPILER_COMPILER_H
#define ATTN_COMPILER_COMPILER_H

#include "execute.h"
#include "graph.h"
#include "interpret.h"
#include "scalar.h"

#endif
