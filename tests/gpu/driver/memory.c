/* Device memory of the fake driver: every copy is checked against the allocations. */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    CUresult r = driver_enter_context();
    *address = 0;
    if (!r && !bytes) r = CUDA_ERROR_INVALID_VALUE;
    if (!r) {
        driver.allocations++;
        *address = ptx_alloc(driver.device, bytes);
        if (!*address) r = CUDA_ERROR_OUT_OF_MEMORY;
    }
    return driver_leave(r);
}

CUresult cuMemFree_v2(CUdeviceptr address)
{
    CUresult r = driver_enter();
    if (!r && address && !ptx_free(driver.device, address)) r = CUDA_ERROR_INVALID_VALUE;
    return driver_leave(r);
}

CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream)
{
    return (void)stream, cuMemAlloc_v2(address, bytes);
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream) { return (void)stream, cuMemFree_v2(address); }

CUresult cuMemAllocHost_v2(void **bytes, size_t n)
{
    *bytes = malloc(n ? n : 1);
    return *bytes ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemFreeHost(void *bytes)
{
    free(bytes);
    return CUDA_SUCCESS;
}

CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
    *free_bytes = *total = (size_t)8 << 30;
    return driver_leave(driver_enter_context());
}

/* ---- Copies ---- */
static CUresult copy(CUdeviceptr to, bool to_device, CUdeviceptr from, bool from_device, size_t bytes)
{
    CUresult r = driver_enter_context();
    driver.copies++;
    if (!r && bytes &&
        ((to_device && !ptx_bytes(driver.device, to, bytes)) ||
         (from_device && !ptx_read(driver.device, from, bytes))))
        r = CUDA_ERROR_INVALID_VALUE;
    if (!r && bytes) memmove((void *)(uintptr_t)to, (const void *)(uintptr_t)from, bytes);
    return driver_leave(r);
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes)
{
    return copy(to, true, (CUdeviceptr)(uintptr_t)from, false, bytes);
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
    return copy((CUdeviceptr)(uintptr_t)to, false, from, true, bytes);
}

CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    return copy(to, true, from, true, bytes);
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    return (void)stream, cuMemcpyHtoD_v2(to, from, bytes);
}

CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    return (void)stream, cuMemcpyDtoH_v2(to, from, bytes);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    return (void)stream, cuMemcpyDtoD_v2(to, from, bytes);
}

static CUresult fill(CUdeviceptr to, unsigned value, size_t size, size_t n)
{
    CUresult r = driver_enter_context();
    unsigned char *at = r || !n ? NULL : ptx_bytes(driver.device, to, n * size);
    if (!r && n && (!at || to % size)) r = CUDA_ERROR_INVALID_VALUE;
    for (size_t k = 0; !r && k < n; k++) memcpy(at + k * size, &value, size);
    return driver_leave(r);
}

CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t n) { return fill(to, value, 1, n); }
CUresult cuMemsetD16_v2(CUdeviceptr to, unsigned short value, size_t n) { return fill(to, value, 2, n); }
CUresult cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t n) { return fill(to, value, 4, n); }

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, CUstream stream)
{
    return (void)stream, fill(to, value, 1, n);
}

CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t n, CUstream stream)
{
    return (void)stream, fill(to, value, 2, n);
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t n, CUstream stream)
{
    return (void)stream, fill(to, value, 4, n);
}

CUresult cuPointerGetAttribute(void *value, int attribute, CUdeviceptr address)
{
    CUresult r = driver_enter();
    if (!r && !ptx_read(driver.device, address, 1)) r = CUDA_ERROR_INVALID_VALUE; /* memory of the host */
    if (!r) switch (attribute) {
        case 1: *(CUcontext *)value = &driver.primary; break;
        case 2: *(unsigned *)value = 2; break; /* memory type: of a device */
        case 3: *(CUdeviceptr *)value = address; break;
        case 8: *(unsigned *)value = 0; break; /* managed */
        case 9: *(int *)value = 0; break;      /* device */
        default: r = CUDA_ERROR_INVALID_VALUE;
        }
    return driver_leave(r);
}
