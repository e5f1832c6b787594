/* The memory of the first CUDA device, for `attnc run` and `bench` of code for CUDA: nothing else of CUDA is
 * needed than its driver. */
#ifndef ATTN_COMMAND_DEVICE_H
#define ATTN_COMMAND_DEVICE_H

#include "lang/program.h"
#include "runtime/cuda_driver.h"

typedef struct Device {
    RtDriver driver;
    CuDevice device;
    CuContext context; /* the primary one, current; NULL: not open */
} Device;

/* Whether code can be compiled for a CUDA device and run here: there are a driver and NVRTC. False: *error says
 * what is missing. */
bool device_usable(AttnError *error);
/* False: *error says why. Once for every thread. */
bool device_open(Device *d, AttnError *error);
void device_close(Device *d);
/* A copy on the device; bytes 0: memory 0. */
bool device_put(const Device *d, CuPointer *memory, const void *from, size_t bytes, AttnError *error);
bool device_get(const Device *d, void *to, CuPointer memory, size_t bytes, AttnError *error);
/* Multiply-adds of all its multiprocessors, 2 flops each: of f64, f32, or of 16-bit types with f32 sums in tensor
 * cores (dense; compiler/gpu_list.h). 0: not known for this architecture. */
double device_peak_flops(const Device *d, StorageType real);
void device_free(const Device *d, CuPointer memory);

#endif
