/* The checksum of a module's note, for those who write it (the linker step) and those who check it.
 * Header-only. */
#ifndef ATTN_RUNTIME_NOTE_H
#define ATTN_RUNTIME_NOTE_H

#include "abi.h"

#include <stddef.h>
#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

/* XXH3-64 of a whole file whose note descriptor starts at byte `note`, taken with the note's checksum
 * field as 0. */
static inline uint64_t attn_note_checksum(const void *file, size_t size, size_t note)
{
    static const uint64_t zero = 0;
    size_t field = note + offsetof(AttnNote, checksum), after = field + sizeof zero;
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, file, field);
    XXH3_64bits_update(&state, &zero, sizeof zero);
    XXH3_64bits_update(&state, (const char *)file + after, size - after);
    return XXH3_64bits_digest(&state);
}

#endif
