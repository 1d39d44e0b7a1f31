#include "daemon/common/capabilities.h"

#include <errno.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#define BIT(cap) (UINT32_C(1) << (cap))
/* all below 32: the first of two words has them */
#define BECOME (BIT(CAP_SETUID) | BIT(CAP_SETGID))
#define SIGNAL BIT(CAP_KILL)

struct sets {
	uint32_t effective, permitted, inheritable;
};

static int
get(struct sets *ret)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	*ret = (struct sets){ .effective = data[0].effective,
			      .permitted = data[0].permitted,
			      .inheritable = data[0].inheritable };
	return 0;
}

static int
set(const struct sets *s)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
		{ .effective = s->effective,
		  .permitted = s->permitted,
		  .inheritable = s->inheritable },
	};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int
capabilities_keep(void)
{
	const uint32_t needed = SIGNAL | BECOME;
	struct sets now = { 0 };
	int r = get(&now);

	if (r < 0)
		return r;
	if ((now.permitted & needed) != needed)
		return capabilities_drop();
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	r = set(&(struct sets){ .effective = SIGNAL, .permitted = needed, .inheritable = BECOME });
	return r < 0 ? r : 1;
}

int
capabilities_hand_on(void)
{
	static const unsigned long each[] = { CAP_SETUID, CAP_SETGID };

	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, each[i], 0, 0) < 0)
			return -errno;
	return 0;
}

int
capabilities_carry(void)
{
	const uint32_t all = SIGNAL | BECOME;
	int r = set(&(struct sets){ .effective = SIGNAL, .permitted = all, .inheritable = all });

	if (r == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) < 0)
		r = -errno;
	return r < 0 ? r : capabilities_hand_on();
}

int
capabilities_drop(void)
{
	struct sets now = { 0 };
	int r = get(&now);

	if (r < 0)
		return r;
	/* a unit without capabilities does not let the call through that would give them up */
	if ((now.permitted | now.inheritable) == 0)
		return 0;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	return set(&(struct sets){ 0 });
}
