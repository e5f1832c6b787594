/* The functions of the CUDA driver that we use: FUNCTION(name, suffix of its symbol, parameters), and
 * OPTIONAL ones, which older drivers lack. All return a CuResult. Their meaning: NVIDIA's CUDA Driver API
 * manual. */
FUNCTION(cuInit, "", (unsigned flags))
FUNCTION(cuGetErrorName, "", (CuResult result, const char **name))
FUNCTION(cuGetErrorString, "", (CuResult result, const char **text))
FUNCTION(cuDeviceGet, "", (CuDevice *device, int ordinal))
FUNCTION(cuDeviceGetCount, "", (int *count))
FUNCTION(cuDeviceGetName, "", (char *name, int bytes, CuDevice device))
FUNCTION(cuDeviceGetAttribute, "", (int *value, CuAttribute attribute, CuDevice device))
FUNCTION(cuDevicePrimaryCtxRetain, "", (CuContext *context, CuDevice device))
FUNCTION(cuDevicePrimaryCtxRelease, "_v2", (CuDevice device))
FUNCTION(cuCtxGetCurrent, "", (CuContext *context))
FUNCTION(cuCtxGetDevice, "", (CuDevice *device))
FUNCTION(cuCtxPushCurrent, "_v2", (CuContext context))
FUNCTION(cuCtxPopCurrent, "_v2", (CuContext *context))
OPTIONAL(cuCtxGetId, "", (CuContext context, unsigned long long *id))
OPTIONAL(cuStreamGetCtx, "", (CuStream stream, CuContext *context))
FUNCTION(cuStreamSynchronize, "", (CuStream stream))
FUNCTION(cuModuleLoadDataEx, "", (CuModule *module, const void *image,
                                 unsigned n_options, int *options, void **values))
FUNCTION(cuModuleUnload, "", (CuModule module))
FUNCTION(cuModuleGetFunction, "", (CuFunction *function, CuModule module, const char *name))
FUNCTION(cuFuncSetAttribute, "", (CuFunction function, int attribute, int value))
FUNCTION(cuOccupancyMaxActiveBlocksPerMultiprocessor, "",
         (int *blocks, CuFunction function, int threads, size_t shared))
FUNCTION(cuLaunchKernel, "", (CuFunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                             unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                             CuStream stream, void **parameters, void **extra))
FUNCTION(cuMemAlloc, "_v2", (CuPointer *memory, size_t bytes))
FUNCTION(cuMemFree, "_v2", (CuPointer memory))
OPTIONAL(cuMemAllocAsync, "", (CuPointer *memory, size_t bytes, CuStream stream))
OPTIONAL(cuMemFreeAsync, "", (CuPointer memory, CuStream stream))
FUNCTION(cuMemsetD32Async, "", (CuPointer memory, unsigned value, size_t count, CuStream stream))
FUNCTION(cuMemcpyHtoD, "_v2", (CuPointer to, const void *from, size_t bytes))
FUNCTION(cuMemcpyDtoH, "_v2", (void *to, CuPointer from, size_t bytes))
FUNCTION(cuMemcpyDtoHAsync, "_v2", (void *to, CuPointer from, size_t bytes, CuStream stream))
