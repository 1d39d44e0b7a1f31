/* The entry point that every target defines: one input, from libFuzzer or from replay_main.c. It
 * answers 0 and aborts where an invariant does not hold. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input. */
static inline void
must(int holds)
{
	if (!holds)
		abort();
}
