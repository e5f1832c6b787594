/* A device that executes PTX on the CPU: test code that proves GPU kernels without a GPU.
 *
 * A launch runs block after block, warp by warp, 32 lanes in step. Every access is checked: that it is inside
 * an allocation, aligned, and does not read bytes that nobody wrote; that no two blocks of a launch, and no two
 * warps of a block without a barrier between them, touch the same byte, one of them writing; that nobody looks at
 * cp.async data before it has been waited for. The first violation ends the launch with a text that names
 * the kernel, the line of the PTX (and of the source, by .loc), block and thread. Counters say what an
 * instruction-level profiler would.
 *
 * Meanings and layouts: PTX ISA 9.0. Not modelled: memory ordering by fences; textures, surfaces, clusters,
 * wgmma, mbarriers and bulk copies. Approximate functions are exact to the last bit but one, sums of mma are rounded once.
 *
 * One device may be used by one thread at a time. Nothing is printed, the process is never ended. */
#ifndef ATTN_TESTS_GPU_PTX_PTX_H
#define ATTN_TESTS_GPU_PTX_PTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct PtxDevice PtxDevice;
typedef struct PtxModule PtxModule;
typedef struct PtxFunction PtxFunction;

typedef enum PtxClass {
#define CLASS(name, text) PTX_##name,
#include "class_list.h"
#undef CLASS
    PTX_CLASSES
} PtxClass;
const char *ptx_class_name(PtxClass class); /* "shared load" */

/* How one instruction, or many, used memory. Global: units are 32-byte sectors, ideal are those that the
 * bytes asked for fill. Shared: units are cycles of the 32 banks, ideal those without any conflict. */
typedef struct PtxTraffic { uint64_t requests, units, ideal; } PtxTraffic;

typedef struct PtxCount {
    uint64_t warps, threads; /* executions by warps, and by threads whose guard held */
    PtxTraffic global, shared;
} PtxCount;

typedef struct PtxCounters {
    uint64_t warps[PTX_CLASSES], threads[PTX_CLASSES];
    uint64_t mma_flops;                                    /* 2 m n k each */
    PtxTraffic global_load, global_store, shared_load, shared_store; /* cp.async: one of each */
} PtxCounters;

/* A run of instructions entered only at its first and left only at its last. */
typedef struct PtxBlockCount {
    uint32_t first, last;        /* PTX lines, both included */
    uint32_t depth;              /* loops around it */
    uint32_t pc;                 /* of its first instruction */
    uint64_t warps;              /* executions */
    uint32_t n[PTX_CLASSES];     /* instructions of each class, once through */
} PtxBlockCount;

/* A device without allocations; NULL: out of memory. */
PtxDevice *ptx_device_new(void);
void ptx_device_free(PtxDevice *device); /* with its allocations; modules are freed before */
/* Why the last call failed, until the next one; "" where it did not. */
const char *ptx_error(const PtxDevice *device);
/* A launch that takes more warp instructions than this in one block is an error (default 2e9). */
void ptx_set_limit(PtxDevice *device, uint64_t instructions);

/* Modules that are loaded from now on run lane by lane what could run on all lanes at once, with the same
 * result. */
void ptx_set_plain(PtxDevice *device, bool plain);

/* Memory of the device, aligned to 256 bytes and filled with bytes FF (NaN, -1); an address is that of the
 * bytes on the host. 0: out of memory. */
uint64_t ptx_alloc(PtxDevice *device, size_t bytes);
bool ptx_free(PtxDevice *device, uint64_t address); /* false: no allocation starts there */
/* Memory of the caller as an allocation; `bytes` are neither copied nor freed. */
bool ptx_lend(PtxDevice *device, void *bytes, size_t size);
/* The host's bytes of [address, address + size), or NULL where they are not inside one allocation. ptx_bytes is
 * for writing: kernels may read them from now on. */
const void *ptx_read(PtxDevice *device, uint64_t address, size_t size);
void *ptx_bytes(PtxDevice *device, uint64_t address, size_t size);

/* Reads a module. NULL: ptx_error says why, with a line. */
PtxModule *ptx_module_load(PtxDevice *device, const char *text, size_t length);
void ptx_module_free(PtxModule *module);
const PtxFunction *ptx_find(const PtxModule *module, const char *name); /* a kernel, or NULL */
/* The address and size of a .global or .const variable; 0: there is none. */
uint64_t ptx_find_variable(const PtxModule *module, const char *name, size_t *size);
const char *ptx_name(const PtxFunction *f);
uint32_t ptx_params_size(const PtxFunction *f);   /* bytes of its parameters */
uint32_t ptx_n_params(const PtxFunction *f);
uint32_t ptx_param_offset(const PtxFunction *f, uint32_t n, uint32_t *size);
uint32_t ptx_static_shared(const PtxFunction *f); /* bytes */
uint32_t ptx_max_threads(const PtxFunction *f);   /* from .maxntid or .reqntid, or 1024 */
uint32_t ptx_local_bytes(const PtxFunction *f);   /* per thread */

typedef struct PtxLaunch {
    const PtxFunction *function;
    uint32_t grid[3], block[3];
    uint32_t shared;        /* dynamic shared memory, bytes */
    const void *params;     /* ptx_params_size bytes */
} PtxLaunch;
/* Runs a kernel to its end. False: ptx_error says why. */
bool ptx_launch(PtxDevice *device, const PtxLaunch *launch);
/* What the last launch of a function of this module did. */
PtxCounters ptx_counters(const PtxFunction *f);
/* The same of its main loop alone: the innermost of those that execute the most mma (or the most instructions,
 * without any mma). Loops that the compiler has unrolled are none. */
PtxCounters ptx_loop_counters(const PtxFunction *f);
/* The basic blocks of it in their order; *n of them, of the module's memory. */
const PtxBlockCount *ptx_block_counts(const PtxFunction *f, uint32_t *n);
/* Counts of the instructions on a line of the PTX text, added up. */
PtxCount ptx_line_count(const PtxFunction *f, uint32_t line);

#endif
