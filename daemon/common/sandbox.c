#include "daemon/common/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include "lib/own.h"

/* --- Landlock: what newer kernels know than the headers of the reference system (landlock(7)) */

#define ACCESS_FS_ABI1 ((UINT64_C(1) << 13) - 1)
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (UINT64_C(1) << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (UINT64_C(1) << 15)
#endif
#define ACCESS_NET_BIND_TCP (UINT64_C(1) << 0)
#define ACCESS_NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (UINT64_C(1) << 0)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

enum { LANDLOCK_ABI_NEEDED = 2 };

struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net; /* ABI 4 */
	uint64_t scoped;             /* ABI 6 */
};

static const uint64_t read_only = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t read_write =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE |
    LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |
    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE |
    /* to rename what is there; the filters refuse the calls that would make one */
    LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SOCK;

int
sandbox_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

static bool
has_openat2(void)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH };
	auto_close int fd = (int)syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof(how));

	return fd >= 0 || errno != ENOSYS;
}

int
sandbox_supported(const char **ret_why)
{
	if (sandbox_landlock_abi() < LANDLOCK_ABI_NEEDED)
		*ret_why = "the kernel has no Landlock of ABI 2 (Linux 5.19 or newer with landlock "
			   "in lsm=)";
	else if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0 && errno == EINVAL)
		*ret_why = "the kernel has no seccomp filters";
	else if (!has_openat2())
		*ret_why = "the kernel has no openat2 (Linux 5.6 or newer)";
	else
		return 0;
	return -ENOSYS;
}

static struct ruleset_attr
ruleset_of(int abi)
{
	struct ruleset_attr a = { .handled_access_fs = ACCESS_FS_ABI1 };

	if (abi >= 2)
		a.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		a.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (abi >= 4)
		a.handled_access_net = ACCESS_NET_BIND_TCP | ACCESS_NET_CONNECT_TCP;
	if (abi >= 5)
		a.handled_access_fs |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	if (abi >= 6)
		a.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
	return a;
}

static size_t
ruleset_size(int abi)
{
	if (abi >= 6)
		return sizeof(struct ruleset_attr);
	return abi >= 4 ? offsetof(struct ruleset_attr, scoped)
			: offsetof(struct ruleset_attr, handled_access_net);
}

int
sandbox_landlock(const struct sandbox_root *roots, size_t n)
{
	int abi = sandbox_landlock_abi();
	struct ruleset_attr attr = ruleset_of(abi);
	struct landlock_path_beneath_attr rule;
	auto_close int set = -1;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (abi == 0)
		return -EOPNOTSUPP;
	set = (int)syscall(SYS_landlock_create_ruleset, &attr, ruleset_size(abi), 0);
	if (set < 0)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		rule = (struct landlock_path_beneath_attr){
			.allowed_access =
			    (roots[i].access == SANDBOX_READ_ONLY ? read_only : read_write) &
			    attr.handled_access_fs,
			.parent_fd = roots[i].fd,
		};
		if (syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
			return -errno;
	}
	return syscall(SYS_landlock_restrict_self, set, 0) < 0 ? -errno : 0;
}

/* --- seccomp: lists by what they are for; a filter is a union of them */

enum {
	CALLS_BASE = 1 << 0,
	CALLS_BIRTH = 1 << 1, /* clone gates, load their filter */
	CALLS_FILES = 1 << 2,
	CALLS_THREAD = 1 << 3, /* the helper thread of a session */
	CALLS_DATAGRAM = 1 << 4,
	CALLS_PACKETS = 1 << 5, /* from the supervisor; they may bring descriptors */
	CALLS_DISK = 1 << 6,
};

struct filter {
	unsigned calls;
	uint32_t otherwise; /* what happens to a call that is in no list */
	struct sock_fprog program;
};

static struct filter filters[SANDBOX_FILTERS] = {
	[SANDBOX_GATEHOUSE] = { .calls = CALLS_BASE | CALLS_BIRTH | CALLS_PACKETS,
				.otherwise = SCMP_ACT_ERRNO(EPERM) },
	/* on top of the gatehouse's: what a gate must not inherit */
	[SANDBOX_GATE] = { .calls = 0, .otherwise = SCMP_ACT_ALLOW },
	[SANDBOX_SESSION] = { .calls = CALLS_BASE | CALLS_FILES | CALLS_THREAD,
			      .otherwise = SCMP_ACT_ERRNO(EPERM) },
	[SANDBOX_KEEPER] = { .calls = CALLS_BASE | CALLS_FILES | CALLS_PACKETS | CALLS_DISK,
			     .otherwise = SCMP_ACT_ERRNO(EPERM) },
	[SANDBOX_BEACON] = { .calls = CALLS_BASE | CALLS_DATAGRAM,
			     .otherwise = SCMP_ACT_ERRNO(EPERM) },
	[SANDBOX_VERIFIER] = { .calls = CALLS_BASE, .otherwise = SCMP_ACT_ERRNO(EPERM) },
};

static const int calls_base[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(close),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(getrandom),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(getpid),
	SCMP_SYS(geteuid),
	SCMP_SYS(gettid),
	SCMP_SYS(sched_yield),
};

static const int calls_files[] = {
	SCMP_SYS(openat2),         SCMP_SYS(fstat),        SCMP_SYS(newfstatat),
	SCMP_SYS(statx),           SCMP_SYS(fstatfs),      SCMP_SYS(getdents64),
	SCMP_SYS(lseek),           SCMP_SYS(pread64),      SCMP_SYS(pwrite64),
	SCMP_SYS(ftruncate),       SCMP_SYS(fallocate),    SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),       SCMP_SYS(syncfs),       SCMP_SYS(sync_file_range),
	SCMP_SYS(copy_file_range), SCMP_SYS(renameat),     SCMP_SYS(renameat2),
	SCMP_SYS(unlinkat),        SCMP_SYS(mkdirat),      SCMP_SYS(fchmod),
	SCMP_SYS(fgetxattr),       SCMP_SYS(fsetxattr),    SCMP_SYS(flock),
	SCMP_SYS(fadvise64),       SCMP_SYS(fremovexattr), SCMP_SYS(sendfile),
};

static const int calls_thread[] = { SCMP_SYS(set_robust_list), SCMP_SYS(rseq) };

static const int calls_packets[] = { SCMP_SYS(recvmsg) };

static const int calls_disk[] = { SCMP_SYS(statfs) };

static const int calls_datagram[] = { SCMP_SYS(recvmmsg), SCMP_SYS(sendmmsg) };

/* No role has any business with these: an attempt ends it. */
static const int calls_fatal[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(bpf),
	SCMP_SYS(keyctl),
};

/* A sanitizer's runtime needs these as well. */
static const int calls_sanitizer[] = {
#ifdef WITH_SANITIZERS
	SCMP_SYS(sigaltstack), SCMP_SYS(getrusage), SCMP_SYS(sched_getaffinity),
	SCMP_SYS(readlink),    SCMP_SYS(mremap),
#endif
};

static int
allow(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	return r;
}

/* Private anonymous memory only, never executable: pages of others cannot be mapped. */
static int
allow_memory(scmp_filter_ctx ctx)
{
	const uint64_t kind = MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS;
	int r;

	r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
			     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
			     SCMP_A3(SCMP_CMP_MASKED_EQ, kind, MAP_PRIVATE | MAP_ANONYMOUS));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1,
				     SCMP_A0(SCMP_CMP_EQ, 0));
	return r;
}

static int
allow_birth(scmp_filter_ctx ctx)
{
	static const uint64_t prctls[] = { PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_NAME };
	int r;

	r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			     SCMP_A0(SCMP_CMP_EQ, CLONE_PARENT | SIGCHLD));
	for (size_t i = 0; i < ARRAY_SIZE(prctls) && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
				     SCMP_A0(SCMP_CMP_EQ, prctls[i]));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(close_range), 0);
	return r;
}

/* Commands that neither duplicate a descriptor nor direct signals. */
static int
allow_file_control(scmp_filter_ctx ctx)
{
	static const uint64_t fcntls[] = { F_GETFD,     F_SETFD,     F_GETFL,     F_SETFL,
					   F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW };
	static const uint64_t ioctls[] = { FICLONE, FS_IOC_FSGETXATTR };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fcntls) && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				     SCMP_A1(SCMP_CMP_EQ, fcntls[i]));
	for (size_t i = 0; i < ARRAY_SIZE(ioctls) && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				     SCMP_A1(SCMP_CMP_EQ, ioctls[i]));
	if (r == 0) /* by descriptor only: Landlock does not see it by path */
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(utimensat), 1,
				     SCMP_A1(SCMP_CMP_EQ, 0));
	return r;
}

/* A thread as the C library makes them, in no namespace of its own and traced by nobody. */
static int
allow_thread(scmp_filter_ctx ctx)
{
	const uint64_t needed = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
	const uint64_t usual = CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SETTLS |
			       CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	int r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				 SCMP_A0(SCMP_CMP_MASKED_EQ, ~usual, needed));

	if (r == 0) /* its flags are behind a pointer; the C library then uses clone */
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return r;
}

static int
refuse(scmp_filter_ctx ctx, uint32_t action, const int *calls, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = seccomp_rule_add(ctx, action, calls[i], 0);
	return r;
}

static int
build(scmp_filter_ctx ctx, const struct filter *f)
{
	static const int not_for_gates[] = { SCMP_SYS(clone), SCMP_SYS(prctl),
					     SCMP_SYS(close_range), SCMP_SYS(recvmsg),
					     SCMP_SYS(sendmsg) };
	int r;

	if (f->otherwise == SCMP_ACT_ALLOW)
		return refuse(ctx, SCMP_ACT_ERRNO(EPERM), not_for_gates, ARRAY_SIZE(not_for_gates));
	r = refuse(ctx, SCMP_ACT_KILL_PROCESS, calls_fatal, ARRAY_SIZE(calls_fatal));
	if (r == 0)
		r = allow(ctx, calls_base, ARRAY_SIZE(calls_base));
	if (r == 0)
		r = allow(ctx, calls_sanitizer, ARRAY_SIZE(calls_sanitizer));
	if (r == 0)
		r = allow_memory(ctx);
	if (r == 0 && (f->calls & CALLS_BIRTH))
		r = allow_birth(ctx);
	if (r == 0 && (f->calls & CALLS_FILES))
		r = allow(ctx, calls_files, ARRAY_SIZE(calls_files));
	if (r == 0 && (f->calls & CALLS_FILES))
		r = allow_file_control(ctx);
	if (r == 0 && (f->calls & CALLS_THREAD))
		r = allow(ctx, calls_thread, ARRAY_SIZE(calls_thread));
	if (r == 0 && (f->calls & CALLS_THREAD))
		r = allow_thread(ctx);
	if (r == 0 && (f->calls & CALLS_PACKETS))
		r = allow(ctx, calls_packets, ARRAY_SIZE(calls_packets));
	if (r == 0 && (f->calls & CALLS_DISK))
		r = allow(ctx, calls_disk, ARRAY_SIZE(calls_disk));
	if (r == 0 && (f->calls & CALLS_DATAGRAM))
		r = allow(ctx, calls_datagram, ARRAY_SIZE(calls_datagram));
	return r;
}

/* The program as the kernel takes it, kept for the life of the process. */
static int
export_program(scmp_filter_ctx ctx, struct sock_fprog *ret)
{
	auto_close int fd = memfd_create("filter", MFD_CLOEXEC);
	struct sock_filter *code;
	off_t size;
	int r;

	if (fd < 0)
		return -errno;
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return r;
	size = lseek(fd, 0, SEEK_END);
	if (size <= 0)
		return -EIO;
	code = malloc((size_t)size);
	if (code == NULL)
		return -ENOMEM;
	if (pread(fd, code, (size_t)size, 0) != size) {
		free(code);
		return -EIO;
	}
	*ret = (struct sock_fprog){
		.len = (unsigned short)((size_t)size / sizeof(*code)),
		.filter = code,
	};
	return 0;
}

int
sandbox_compile(enum sandbox_filter which)
{
	struct filter *f = &filters[which];
	scmp_filter_ctx ctx;
	int r;

	ctx = seccomp_init(f->otherwise);
	if (ctx == NULL)
		return -ENOMEM;
	/* a binary tree instead of a chain: every system call of the role walks it */
	r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = build(ctx, f);
	if (r == 0)
		r = export_program(ctx, &f->program);
	seccomp_release(ctx);
	return r;
}

static int
load(const struct sock_fprog *program)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) < 0 ? -errno : 0;
}

int
sandbox_enter(enum sandbox_filter which)
{
	const struct filter *f = &filters[which];

	return f->program.filter != NULL ? load(&f->program) : -EINVAL;
}

/* A descriptor is 32 bits to the kernel, 64 to a filter: the upper half must not matter. */
static int
refuse_on(scmp_filter_ctx ctx, int fd)
{
	static const int never[] = { SCMP_SYS(shutdown), SCMP_SYS(setsockopt), SCMP_SYS(sendmsg),
				     SCMP_SYS(sendmmsg) };
	const struct scmp_arg_cmp on_it = SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, (unsigned)fd);
	int r;

	r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(sendto), 2, on_it,
			     SCMP_A4(SCMP_CMP_NE, 0));
	for (size_t i = 0; i < ARRAY_SIZE(never) && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), never[i], 1, on_it);
	return r;
}

int
sandbox_guard(int fd)
{
	struct sock_fprog program = { 0 };
	scmp_filter_ctx ctx;
	int r;

	ctx = seccomp_init(SCMP_ACT_ALLOW);
	if (ctx == NULL)
		return -ENOMEM;
	r = refuse_on(ctx, fd);
	if (r == 0)
		r = export_program(ctx, &program);
	seccomp_release(ctx);
	if (r == 0)
		r = load(&program);
	free(program.filter);
	return r;
}
