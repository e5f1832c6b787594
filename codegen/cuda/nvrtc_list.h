/* Functions of NVRTC that are used: NVRTC(name, result, arguments). */
NVRTC(Version, int, (int *major, int *minor))
NVRTC(GetErrorString, const char *, (int result))
NVRTC(CreateProgram, int, (void **program, const char *source, const char *name, int n_headers,
                           const char *const *headers, const char *const *include_names))
NVRTC(DestroyProgram, int, (void **program))
NVRTC(CompileProgram, int, (void *program, int n_options, const char *const *options))
NVRTC(GetPTXSize, int, (void *program, size_t *size))
NVRTC(GetPTX, int, (void *program, char *ptx))
NVRTC(GetCUBINSize, int, (void *program, size_t *size))
NVRTC(GetCUBIN, int, (void *program, char *cubin))
NVRTC(GetProgramLogSize, int, (void *program, size_t *size))
NVRTC(GetProgramLog, int, (void *program, char *log))
