/* Names from the wire: what is let in cannot leave the share nor meet a reserved name. */
#include <string.h>

#include "fuzz/fuzz.h"
#include "lib/err.h"
#include "lib/path.h"

static void
check_normal(const char *dst)
{
	const char *at = dst;
	size_t n;

	for (;;) {
		n = strcspn(at, "/");
		must(n >= 1 && n <= PATH_COMPONENT_MAX);
		must(!(n == 1 && at[0] == '.') && !(n == 2 && at[0] == '.' && at[1] == '.'));
		must(n < 4 || memcmp(at, ".ftd", 4) != 0);
		if (at[n] == '\0')
			break;
		at += n + 1;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char dst[PATH_BYTES_MAX + 1], again[PATH_BYTES_MAX + 1];
	const char *name = (const char *)data;
	int r;

	must(path_check_visible(name, size) == 0 ||
	     path_check_visible(name, size) == -FTD_E_bad_name);
	must(path_check_visible(name, size) < 0 || path_check_component(name, size) == 0);
	r = path_from_wire(name, size, dst);
	if (r < 0) {
		must(r == -FTD_E_bad_name);
		return 0;
	}
	must(strlen(dst) == (size_t)r && size - (size_t)r <= 1);
	must(memcmp(dst, name + (size - (size_t)r), (size_t)r) == 0);
	if (r == 0)
		return 0;
	check_normal(dst);
	must(path_from_wire(dst, (size_t)r, again) == r && strcmp(dst, again) == 0);
	return 0;
}
