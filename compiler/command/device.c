/* See device.h. */
#include "compiler/command/device.h"

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

void device_free(const Device *d, CuPointer memory)
{
    if (memory) d->driver.cuMemFree(memory);
}
