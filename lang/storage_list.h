/* Types of tensors and parameters as written; FLOAT is the storage type chosen per compilation. */
STORAGE(FLOAT, "float")
STORAGE(F64, "f64")
STORAGE(F32, "f32")
STORAGE(F16, "f16")
STORAGE(BF16, "bf16")
STORAGE(INT, "int")
STORAGE(BOOL, "bool")
