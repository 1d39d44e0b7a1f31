/* The client's file of known servers: what is found stays found when another line changes. */
#include <stdlib.h>
#include <string.h>

#include "client/known.h"
#include "fuzz/fuzz.h"

#define FINGERPRINT "sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char before[FINGERPRINT_MAX], after[FINGERPRINT_MAX], *changed = NULL;
	const char *text = (const char *)data;
	unsigned line;
	int found, r;

	if (size > KNOWN_FILE_MAX / 2)
		return 0;
	found = known_find(text, size, "a:1", before, &line);
	r = known_change(text, size, "b:2", FINGERPRINT, "2026-11-23T10:15:00Z", &changed, &line);
	if (r < 0)
		return 0;
	must(known_find(changed, strlen(changed), "a:1", after, &line) == found);
	must(found < 0 || strcmp(before, after) == 0);
	must(known_find(changed, strlen(changed), "b:2", after, &line) == 0);
	must(strcmp(after, FINGERPRINT) == 0);
	free(changed);
	return 0;
}
