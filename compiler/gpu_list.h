/* Architectures of GPUs, by compute capability, each with the data of one device. GPU(arch, device,
 * multiprocessors, GHz, GB/s of its memory;
 * of a multiprocessor and cycle: tensor, mma, f32, f64 (flops; tensor: dense f16 with sums in f32, mma: the
 *     share of it that mma.sync reaches), exp2 (results), shared (bytes);
 * KiB of shared memory of a multiprocessor, of a block; threads, blocks of a multiprocessor)
 *
 * Sources: CUDA C++ Programming Guide 13, "Technical Specifications per Compute Capability" and "Throughput
 * of Native Arithmetic Instructions"; NVIDIA's architecture white papers and data sheets of A100 (2020), A40
 * (GA102, 2020), L40S (AD102, 2023), H100 SXM (2022), B200 (2024). mma.sync reaches about 62% of what wgmma
 * does on H100 (Luo et al. 2024, arXiv:2402.13499). For B200 no rate of mma.sync is published: taken to be
 * that of H100 in flops. */
GPU(80, "A100", 108, 1.41, 1555, 2048, 1, 128, 64, 16, 128, 164, 163, 2048, 32)
GPU(86, "A40", 84, 1.74, 696, 1024, 1, 256, 4, 16, 128, 100, 99, 1536, 16)
GPU(89, "L40S", 142, 2.52, 864, 1024, 1, 256, 4, 16, 128, 100, 99, 1536, 24)
GPU(90, "H100", 132, 1.83, 3350, 4096, 0.62, 256, 128, 16, 128, 228, 227, 2048, 32)
GPU(100, "B200", 148, 1.85, 8000, 8192, 0.31, 256, 128, 16, 128, 228, 227, 2048, 32)
