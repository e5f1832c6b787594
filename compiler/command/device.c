/* See device.h. */
#include "compiler/command/device.h"

#include "compiler/gpu.h"

bool device_usable(AttnError *error)
{
    static const char text[] = "pattern p()\n    over b: x[i] -> y[i]\n{\n    y = x\n}\n";
    RtDriver driver = {0};
    AttnLibrary *library;
    AttnCompileOptions options = {.target = "cuda:compute_80"};
    if (rt_driver_open(&driver, error) || attn_compile_string(text, NULL, &options, &library, error))
        return false;
    attn_close(library);
    return true;
}

bool device_open(Device *d, AttnError *error)
{
    CuContext context = NULL;
    bool pushed;
    if (rt_driver_open(&d->driver, error) || rt_driver(&d->driver, error, cuDeviceGet, &d->device, 0) ||
        rt_driver(&d->driver, error, cuDevicePrimaryCtxRetain, &context, d->device))
        return false;
    if (rt_driver_enter(&d->driver, context, &pushed, error)) {
        d->driver.cuDevicePrimaryCtxRelease(d->device);
        return false;
    }
    d->context = context;
    return true;
}

void device_close(Device *d)
{
    if (!d->context) return;
    rt_driver_leave(&d->driver, true);
    d->driver.cuDevicePrimaryCtxRelease(d->device);
    d->context = NULL;
}

bool device_put(const Device *d, CuPointer *memory, const void *from, size_t bytes, AttnError *error)
{
    *memory = 0;
    if (!bytes) return true;
    if (rt_driver(&d->driver, error, cuMemAlloc, memory, bytes)) return false;
    return !rt_driver(&d->driver, error, cuMemcpyHtoD, *memory, from, bytes);
}

bool device_get(const Device *d, void *to, CuPointer memory, size_t bytes, AttnError *error)
{
    return !bytes || !rt_driver(&d->driver, error, cuMemcpyDtoH, to, memory, bytes);
}

double device_peak_flops(const Device *d, StorageType real)
{
    int major = 0, minor = 0, processors = 0, khz = 0;
    const RtDriver *r = &d->driver;
    if (r->cuDeviceGetAttribute(&major, CU_CAPABILITY_MAJOR, d->device) ||
        r->cuDeviceGetAttribute(&minor, CU_CAPABILITY_MINOR, d->device) ||
        r->cuDeviceGetAttribute(&processors, CU_MULTIPROCESSORS, d->device) ||
        r->cuDeviceGetAttribute(&khz, CU_CLOCK_KHZ, d->device))
        return 0;
    const Gpu *gpu = gpu_find((unsigned)(10 * major + minor));
    if (gpu->arch != (unsigned)(10 * major + minor)) return 0;
    double rate = real == STORAGE_F64 ? gpu->f64 : real == STORAGE_F32 ? gpu->f32 : gpu->tensor;
    return rate * processors * khz * 1e3;
}

void device_free(const Device *d, CuPointer memory)
{
    if (memory) d->driver.cuMemFree(memory);
}
