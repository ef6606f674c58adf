package install

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/input"
)

// A pending edit is one that is under way: the name of its file, and digests of what
// the file had before and is to have now. The new version has all of that in its
// name, so that whoever comes after a kill can end the edit.
type pending struct{ name, before, now string }

// temp returns where the new version is until it takes the place of the file, and
// afterwards what was there.
func (d *dir) temp(p pending) string {
	return filepath.Join(d.join(scratch), p.before+"-"+p.now+"-"+p.name)
}

func parsePending(base string) (p pending, ok bool) {
	words := strings.SplitN(base, "-", 3)
	if len(words) < 3 {
		return p, false
	}
	return pending{before: words[0], now: words[1], name: words[2]}, true
}

// digest returns what tells a content from others, short enough for a file name.
func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8])
}

// digestOf returns the digest of a file, and none if there is no file, or only a link
// to one.
func digestOf(path string) (string, error) {
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !fi.Mode().IsRegular() {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	content, err := input.ReadFile(path)
	return digest(content), err
}

// swap puts the new version in the place of the file. [errChanged] if that had
// another content than before: then somebody else has written since it was read, and
// it is for settle to put their version back.
func (d *dir) swap(p pending) error {
	path, temp := d.join(p.name), d.temp(p)
	err := exchange(temp, path)
	if errors.Is(err, errNoExchange) {
		return d.renameOver(p)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return errChanged
	}
	if err != nil {
		return err
	}
	is, err := digestOf(temp)
	if err == nil && is != p.before {
		err = errChanged
	}
	return err
}

// renameOver is swap where the file system can only rename. What somebody else
// writes between its two steps is lost until they write again.
func (d *dir) renameOver(p pending) error {
	is, err := digestOf(d.join(p.name))
	if err != nil {
		return err
	}
	if is != p.before {
		return errChanged
	}
	return os.Rename(d.temp(p), d.join(p.name))
}

// settle puts back what somebody else wrote, if an edit took it away, unless there is
// a yet newer version by then. Afterwards nothing at temp is needed.
func (d *dir) settle(p pending) error {
	taken, err := digestOf(d.temp(p))
	if err != nil || taken == p.before || taken == p.now {
		return err
	}
	is, err := digestOf(d.join(p.name))
	if err != nil || is != p.now {
		return err
	}
	if err := exchange(d.temp(p), d.join(p.name)); err != nil {
		return err
	}
	if taken, err = digestOf(d.temp(p)); err != nil || taken == p.now {
		return err
	}
	return exchange(d.temp(p), d.join(p.name))
}
