package notify

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// mask are the events in a directory that are told.
	mask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_ATTRIB |
		unix.IN_DELETE_SELF | unix.IN_MOVE_SELF

	overflow = unix.IN_Q_OVERFLOW
	ignored  = unix.IN_IGNORED

	bufSize = 64 * (unix.SizeofInotifyEvent + unix.NAME_MAX + 1)
)

func openInotify() (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if errors.Is(err, unix.EMFILE) {
		return nil, fmt.Errorf("inotify_init1: %w: raise fs.inotify.max_user_instances or the limit of open files", err)
	}
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	return os.NewFile(uintptr(fd), "inotify"), nil
}

// openMountTable opens the mount table in a way that leaves the news of it to poll:
// [os.Open] would have the runtime wait for them, too.
func openMountTable() (*os.File, error) {
	const path = "/proc/thread-self/mountinfo"
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func openWake() (*os.File, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	return os.NewFile(uintptr(fd), "eventfd"), nil
}

// wakeUp ends a wait. After Close it does nothing.
func wakeUp(f *os.File) {
	one := [8]byte{0: 1, 7: 1} // not zero in any order of bytes
	f.Write(one[:])            //nolint:errcheck // nobody waits any more
}

// addWatch watches exactly the directory that is open, whatever its path leads to by
// now.
func addWatch(inotify, dir *os.File) (Dir, error) {
	path := fmt.Sprintf("/proc/self/fd/%d", dir.Fd())
	d, err := unix.InotifyAddWatch(int(inotify.Fd()), path, mask)
	if errors.Is(err, unix.ENOSPC) {
		err = fmt.Errorf("%w: raise fs.inotify.max_user_watches", err)
	}
	return Dir(d), err
}

func removeWatch(inotify *os.File, d Dir) {
	_, _ = unix.InotifyRmWatch(int(inotify.Fd()), uint32(d)) // EINVAL: it has ended by itself
}

// readEvents reads what has come. It waits if nothing has.
func readEvents(inotify *os.File, buf []byte) (int, error) {
	n, err := unix.Read(int(inotify.Fd()), buf)
	if errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	return n, os.NewSyscallError("read", err)
}

// poll waits until there is news, or wake is readable.
func poll(inotify, mounts, wake *os.File) (inDirs, inMounts bool, err error) {
	fds := []unix.PollFd{
		{Fd: int32(inotify.Fd()), Events: unix.POLLIN},
		{Fd: int32(mounts.Fd()), Events: unix.POLLPRI},
		{Fd: int32(wake.Fd()), Events: unix.POLLIN},
	}
	_, err = unix.Poll(fds, -1)
	if errors.Is(err, unix.EINTR) {
		err = nil
	}
	return fds[0].Revents != 0, fds[1].Revents != 0, os.NewSyscallError("poll", err)
}
