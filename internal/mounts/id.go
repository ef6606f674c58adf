package mounts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// An ID names a mount, also one that is attached nowhere yet, and stays the same
// when it is attached or moved. From Linux 6.8 on it is the kernel's unique ID, which
// no later mount gets. Before, it is the number of the device, which a later file
// system can get: whoever unmounts must forget the ID.
type ID string

const (
	uniquePrefix = "mount-"
	devicePrefix = "device-"
)

// IDOf returns the ID of the mount that holds the open file.
func IDOf(f *os.File) (ID, error) {
	unique, device, err := identify(f)
	if err != nil {
		return "", err
	}
	if unique != 0 {
		return ID(uniquePrefix + strconv.FormatUint(unique, 10)), nil
	}
	return ID(devicePrefix + strconv.FormatUint(device, 10)), nil
}

// Find opens the root of the mount wherever it is visible in this mount namespace: at
// the path where it was attached, or from Linux 6.8 on where it was moved to.
// [fs.ErrNotExist] if it is unmounted. An error also says that something is mounted
// on it.
func (id ID) Find(attached string) (*os.File, error) {
	where := attached
	if unique, ok := id.unique(); ok {
		m, err := statmount(unique)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w", attached, err)
		}
		if err != nil && !errors.Is(err, syscall.ENOSYS) {
			return nil, fmt.Errorf("looking for the mount at %s: %w", attached, err)
		}
		if err == nil {
			where = m.point
		}
	}
	f, err := openDir(where)
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s: %w", where, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	is, err := IDOf(f)
	if err == nil && is != id {
		err = fs.ErrNotExist
		if _, ok := id.unique(); ok {
			err = fmt.Errorf("something is mounted over the mount: umount %s", where)
		}
		err = fmt.Errorf("%s: %w", where, err)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// unique returns the kernel's unique ID.
func (id ID) unique() (uint64, bool) {
	number, ok := strings.CutPrefix(string(id), uniquePrefix)
	n, err := strconv.ParseUint(number, 10, 64)
	return n, ok && err == nil
}
