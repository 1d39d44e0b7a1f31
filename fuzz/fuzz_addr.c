/* Addresses and subnets as text, and the raw address of a peer. */
#include <errno.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "lib/addr.h"
#include "lib/own.h"

static void
check_address(const char *s)
{
	union addr a, again;
	socklen_t len, again_len;
	char buf[ADDR_TEXT_MAX];

	if (strchr(s, '%') != NULL && s[strcspn(s, "%") + 1] > '9')
		return; /* the name of an interface: every try would ask the kernel */
	if (addr_parse(s, 8001, &a, &len) < 0)
		return;
	must(addr_port(&a) == 8001);
	must(addr_parse(addr_format_host(&a, buf), 8001, &again, &again_len) == 0);
	must(len == again_len && memcmp(&a, &again, len) == 0);
	must(strlen(addr_format(&a, buf)) < ADDR_TEXT_MAX - 1);
}

static void
check_subnet(const char *s)
{
	struct subnet net, again;
	char buf[ADDR_TEXT_MAX];
	int r = subnet_parse(s, &net);

	must(r == 0 || r == -EINVAL || r == -ERANGE);
	if (r == -EINVAL)
		return;
	must(net.bits <= (net.family == AF_INET ? 32 : 128));
	must(subnet_parse(subnet_format(&net, buf), &again) == 0 && subnet_equal(&net, &again));
}

/* Whatever the kernel might hand over as a peer. */
static void
check_peer(const uint8_t *data, size_t size)
{
	struct subnet source, all4, all6;
	char buf[ADDR_TEXT_MAX];
	union addr a = { 0 };
	bool internet;

	memcpy(&a, data, size < sizeof(a) ? size : sizeof(a));
	if (size > 0)
		a.sa.sa_family = data[0] % 2 == 0 ? AF_INET6 : AF_INET;
	must(subnet_parse("0.0.0.0/0", &all4) == 0 && subnet_parse("::/0", &all6) == 0);
	source = addr_source(&a);
	internet = a.sa.sa_family != AF_UNSPEC;
	must(subnet_has(&source, &a) == internet);
	must(subnet_has(&all4, &a) + subnet_has(&all6, &a) == internet);
	must(!addr_is_loopback(&a) || internet);
	must(strlen(addr_format(&a, buf)) < ADDR_TEXT_MAX - 1);
	addr_normalise(&a);
	must(subnet_has(&source, &a) == internet);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_free char *s = malloc(size + 1);

	must(s != NULL);
	memcpy(s, data, size);
	s[size] = '\0';
	check_address(s);
	check_subnet(s);
	check_peer(data, size);
	return 0;
}
