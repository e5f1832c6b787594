/* Shared by the parts of the printer of recurrences.
 *   print_scan.c         the kernel: registers, loops over rows, tasks and steps
 *   print_scan_ahead.c   what comes ahead of the steps that need it, and what is stored after some steps: both through
 *                        shared memory, by all threads of the block */
#ifndef ATTN_CODEGEN_CUDA_PRINT_SCAN_H
#define ATTN_CODEGEN_CUDA_PRINT_SCAN_H

#include "codegen/cuda/print.h"

typedef VEC(Node *) Nodes;
typedef struct ScanPrinter {
    const Recurrence *r;
    const char **kept;  /* names of states, by number */
    const char **early; /* of values ahead, by number, */
    const char **now;   /* and of those of a step that all tasks of a thread share; NULL: not in registers */
    const char **late;  /* of what is stored after some steps, by number; */
    bool late_reads;    /* what is stored then needs values ahead */
    const Node **sum;   /* a local that all else of its value can be made of then, or NULL */
    const char *lane, *group, *task, *column, *round; /* round: number of a row in a thread */
    const char *live;                                 /* the column exists; NULL: all do */
    const char *step, *next;                          /* of the steps at work; first of those ahead */
    const char *row, *axis, *column_index;            /* coordinates */
    const char *at;                                   /* an element of an array */
    bool in_row;
    Nodes reads;          /* of values ahead: fetched, */
    const char **fetched; /* in arrays of these names, by number */
} ScanPrinter;

/* ---- print_scan.c ---- */
void scan_bind(Printer *p, const Index *index, const char *name); /* the variable has a value, of its index alone */

/* ---- print_scan_ahead.c ---- */
void scan_declare_ahead(Printer *p);   /* shared memory of values ahead; */
void scan_declare_fetched(Printer *p); /* registers of what they are made of */
void scan_fetch(Printer *p);           /* reads for the steps from x->next on */
void scan_put(Printer *p);             /* values to shared memory */
/* Where value number k is: in shared memory, in a register of the step, in one of all steps. */
const char *scan_place_ahead(Printer *p, unsigned k);
const char *scan_place_now(Printer *p, unsigned k);
const char *scan_place_own(Printer *p, unsigned k);
void scan_declare_late(Printer *p);
void scan_store_late(Printer *p);      /* what the steps that have just run leave */
/* A local that the value of a store can be made of when its steps have run, or NULL; *shared: with values ahead. */
const Node *scan_sum_of(const Recurrence *r, const Statement *s, bool *shared);

#endif
