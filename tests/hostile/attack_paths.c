/* A name that is not the role's to use, given to every call that takes one. */
#include "tests/hostile/attack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/own.h"

#define TEXT(s) ((long)(s))
enum { FCHMODAT2 = 452, SETXATTRAT = 463 };

static int
open_how(const struct aim *a, uint64_t flags)
{
	struct open_how how = { .flags = flags | O_CLOEXEC };
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, a->path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* A handle without rights to the file can be had; nothing must come of it. */
static int
use_handle(const struct aim *a)
{
	const struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	auto_close int fd = open_how(a, O_PATH);
	char byte = 'x';

	if (fd < 0)
		return fd;
	if (fchmod(fd, 0777) == 0 || ftruncate(fd, 0) == 0 || read(fd, &byte, 1) >= 0 ||
	    pread(fd, &byte, 1, 0) >= 0 || write(fd, &byte, 1) >= 0 ||
	    pwrite(fd, &byte, 1, 0) >= 0 || fallocate(fd, 0, 0, 1) == 0 ||
	    syscall(SYS_utimensat, fd, NULL, times, 0) == 0 ||
	    syscall(SYS_fsetxattr, fd, "user.x", &byte, 1, 0) == 0 ||
	    syscall(SYS_fgetxattr, fd, "user.x", &byte, 1) == 0 ||
	    syscall(SYS_getdents64, fd, &byte, 1) == 0 || ioctl(fd, FICLONE, fd) == 0 ||
	    syscall(SYS_copy_file_range, fd, NULL, fd, NULL, 1, 0) >= 0 || fsync(fd) == 0 ||
	    mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED)
		return 0;
	return -errno;
}

/* The same handle, as the directory that another name begins at, and opened anew through /proc. */
static int
use_handle_as_directory(const struct aim *a)
{
	const struct open_how how = { .flags = O_RDONLY };
	auto_close int fd = open_how(a, O_PATH);
	long got;

	if (fd < 0)
		return fd;
	got = syscall(SYS_openat2, fd, ".", &how, sizeof(how));
	return got < 0 ? -errno : 0;
}

static const struct attempt paths[] = {
	{ "openat2 to read", SYS_openat2, { AT_FDCWD, AIM_PATH, AIM_HOW_READ, 24 } },
	{ "openat2 to write", SYS_openat2, { AT_FDCWD, AIM_PATH, AIM_HOW_WRITE, 24 } },
	{ "openat2 to make", SYS_openat2, { AT_FDCWD, AIM_PATH, AIM_HOW_CREATE, 24 } },
	{ "openat2 to make without a name",
	  SYS_openat2,
	  { AT_FDCWD, AIM_PATH, AIM_HOW_NAMELESS, 24 } },
	{ "openat to read", SYS_openat, { AT_FDCWD, AIM_PATH, O_RDONLY } },
	{ "openat to write", SYS_openat, { AT_FDCWD, AIM_PATH, O_WRONLY } },
	{ "use of a handle (O_PATH)", .run = use_handle },
	{ "a handle as a directory", .run = use_handle_as_directory },
	{ "truncate", SYS_truncate, { AIM_PATH, 0 } },
	{ "fchmodat", SYS_fchmodat, { AT_FDCWD, AIM_PATH, 0777 } },
	{ "fchmodat2", FCHMODAT2, { AT_FDCWD, AIM_PATH, 0777, 0 } },
	{ "fchownat", SYS_fchownat, { AT_FDCWD, AIM_PATH, 65534, 65534, 0 } },
	{ "utimensat", SYS_utimensat, { AT_FDCWD, AIM_PATH, AIM_SCRATCH, 0 } },
	{ "setxattr", SYS_setxattr, { AIM_PATH, TEXT("user.x"), TEXT("x"), 1, 0 } },
	{ "lsetxattr", SYS_lsetxattr, { AIM_PATH, TEXT("user.x"), TEXT("x"), 1, 0 } },
	{ "setxattrat", SETXATTRAT, { AT_FDCWD, AIM_PATH, 0, TEXT("user.x"), AIM_SCRATCH, 16 } },
	{ "getxattr", SYS_getxattr, { AIM_PATH, TEXT("user.x"), AIM_SCRATCH, 8 } },
	{ "lgetxattr", SYS_lgetxattr, { AIM_PATH, TEXT("user.x"), AIM_SCRATCH, 8 } },
	{ "listxattr", SYS_listxattr, { AIM_PATH, AIM_SCRATCH, 64 } },
	{ "removexattr", SYS_removexattr, { AIM_PATH, TEXT("user.x") } },
	{ "linkat into the share", SYS_linkat, { AT_FDCWD, AIM_PATH, AIM_INSIDE, TEXT("l"), 0 } },
	{ "linkat out of the share",
	  SYS_linkat,
	  { AIM_INSIDE, TEXT("mine"), AT_FDCWD, AIM_PATH, 0 } },
	{ "symlinkat into the share", SYS_symlinkat, { AIM_PATH, AIM_INSIDE, TEXT("l") } },
	{ "symlinkat", SYS_symlinkat, { TEXT("x"), AT_FDCWD, AIM_PATH } },
	{ "renameat into the share", SYS_renameat, { AT_FDCWD, AIM_PATH, AIM_INSIDE, TEXT("r") } },
	{ "renameat out of the share",
	  SYS_renameat,
	  { AIM_INSIDE, TEXT("mine"), AT_FDCWD, AIM_PATH } },
	{ "renameat2 in exchange",
	  SYS_renameat2,
	  { AIM_INSIDE, TEXT("mine"), AT_FDCWD, AIM_PATH, RENAME_EXCHANGE } },
	{ "unlinkat", SYS_unlinkat, { AT_FDCWD, AIM_PATH, 0 } },
	{ "unlinkat of a directory", SYS_unlinkat, { AT_FDCWD, AIM_PATH, AT_REMOVEDIR } },
	{ "mkdirat", SYS_mkdirat, { AT_FDCWD, AIM_PATH, 0777 } },
	{ "mknodat", SYS_mknodat, { AT_FDCWD, AIM_PATH, S_IFIFO | 0666, 0 } },
	{ "mknodat into the share", SYS_mknodat, { AIM_INSIDE, TEXT("n"), S_IFIFO | 0666, 0 } },
	{ "chdir", SYS_chdir, { AIM_PATH } },
	{ "fchdir", SYS_fchdir, { AIM_INSIDE } },
	{ "chroot", SYS_chroot, { AIM_PATH } },
	{ "faccessat", SYS_faccessat, { AT_FDCWD, AIM_PATH, R_OK } },
	{ "faccessat2", SYS_faccessat2, { AT_FDCWD, AIM_PATH, R_OK, 0 } },
#ifndef WITH_SANITIZERS /* whose runtime needs readlink() */
	{ "readlink", SYS_readlinkat, { AT_FDCWD, AIM_PATH, AIM_SCRATCH, 64 } },
#endif
	{ "statfs", SYS_statfs, { AIM_PATH, AIM_SCRATCH } },
	{ "inotify_init1", SYS_inotify_init1, { 0 } },
	{ "fanotify_init", SYS_fanotify_init, { 0, 0 } },
	{ "name_to_handle_at",
	  SYS_name_to_handle_at,
	  { AT_FDCWD, AIM_PATH, AIM_SCRATCH, AIM_SCRATCH, 0 } },
	{ "open_by_handle_at", SYS_open_by_handle_at, { AIM_INSIDE, AIM_SCRATCH, O_RDONLY } },
	{ "open_tree", SYS_open_tree, { AT_FDCWD, AIM_PATH, 0 } },
	{ "mount_setattr", SYS_mount_setattr, { AT_FDCWD, AIM_PATH, 0, AIM_SCRATCH, 32 } },
	{ "swapon", SYS_swapon, { AIM_PATH, 0 } },
	{ "acct", SYS_acct, { AIM_PATH } },
	{ "landlock_create_ruleset", SYS_landlock_create_ruleset, { AIM_SCRATCH, 8, 0 } },
	{ "execve", SYS_execve, { AIM_PATH, AIM_SCRATCH, AIM_SCRATCH }, .fatal = true },
	{ "execveat", SYS_execveat, { AT_FDCWD, AIM_PATH, 0, 0, 0 }, .fatal = true },
	{ "mount", SYS_mount, { AIM_PATH, AIM_PATH, 0, MS_BIND, 0 }, .fatal = true },
	{ "umount2", SYS_umount2, { AIM_PATH, 0 }, .fatal = true },
#ifdef SYS_open /* the calls that newer architectures never had */
	{ "open to read", SYS_open, { AIM_PATH, O_RDONLY } },
	{ "open to write", SYS_open, { AIM_PATH, O_WRONLY } },
	{ "creat", SYS_creat, { AIM_PATH, 0666 } },
	{ "chmod", SYS_chmod, { AIM_PATH, 0777 } },
	{ "chown", SYS_chown, { AIM_PATH, 65534, 65534 } },
	{ "lchown", SYS_lchown, { AIM_PATH, 65534, 65534 } },
	{ "utime", SYS_utime, { AIM_PATH, AIM_SCRATCH } },
	{ "utimes", SYS_utimes, { AIM_PATH, AIM_SCRATCH } },
	{ "futimesat", SYS_futimesat, { AT_FDCWD, AIM_PATH, AIM_SCRATCH } },
	{ "link", SYS_link, { AIM_PATH, TEXT("l") } },
	{ "symlink", SYS_symlink, { TEXT("x"), AIM_PATH } },
	{ "rename", SYS_rename, { AIM_PATH, TEXT("r") } },
	{ "unlink", SYS_unlink, { AIM_PATH } },
	{ "rmdir", SYS_rmdir, { AIM_PATH } },
	{ "mkdir", SYS_mkdir, { AIM_PATH, 0777 } },
	{ "mknod", SYS_mknod, { AIM_PATH, S_IFIFO | 0666, 0 } },
	{ "access", SYS_access, { AIM_PATH, R_OK } },
	{ "stat", SYS_stat, { AIM_PATH, AIM_SCRATCH } },
	{ "lstat", SYS_lstat, { AIM_PATH, AIM_SCRATCH } },
#endif
};
/* Reading is what Landlock is asked for; only from ABI 3 on it knows that this is more. */
static const struct attempt emptying[] = {
	{ "openat2 to empty", SYS_openat2, { AT_FDCWD, AIM_PATH, AIM_HOW_EMPTY, 24 } },
};

const struct attempts attack_emptying = { "emptying", emptying, ARRAY_SIZE(emptying) };
const struct attempts attack_paths = { "paths", paths, ARRAY_SIZE(paths) };

/* What the kernel tells of names without opening them. */
static const struct attempt looks[] = {
	{ "newfstatat", SYS_newfstatat, { AT_FDCWD, AIM_PATH, AIM_SCRATCH, AT_SYMLINK_NOFOLLOW } },
	{ "statx", SYS_statx, { AT_FDCWD, AIM_PATH, 0, STATX_ALL, AIM_SCRATCH } },
};
const struct attempts attack_looks = { "looks", looks, ARRAY_SIZE(looks) };
