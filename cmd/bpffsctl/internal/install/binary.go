package install

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/conflist"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/input"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// pluginPath is what Go wrote into the plugin when it was built.
const pluginPath = "github.com/cni-bpffs/cni-bpffs/plugins/bpffs"

const binaryMode fs.FileMode = 0o755

// putBinary copies the plugin into the directory. One that is being executed goes
// on as it was.
func (in Installer) putBinary(d *dir) error {
	content, err := input.ReadFile(in.From)
	if err != nil {
		return err
	}
	path := d.join(conflist.PluginType)
	done, err := compare(path, content)
	if done || err != nil {
		return err
	}
	if err := d.write(content, binaryMode, nil); err != nil {
		return err
	}
	if err := os.Rename(d.join(scratch), path); err != nil {
		return errors.Join(err, d.clear())
	}
	in.Log("copied %s to %s", in.From, path)
	return d.sync()
}

// compare reports whether the plugin is at path as it has to be. An error means
// that it must not come there: something else is in its place.
func compare(path string, content []byte) (done bool, err error) {
	f, err := input.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("the plugin's place is taken: %w; move it away: %s", err, moveAway(path))
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return false, err
	}
	begins, err := isStart(f, fi.Size(), content)
	if err != nil {
		return false, err
	}
	if !begins && !isPlugin(f) {
		return false, fmt.Errorf("the plugin's place is taken: %s is another program; move it away: %s", path, moveAway(path))
	}
	return begins && fi.Size() == int64(len(content)) && fi.Mode() == binaryMode && isMine(fi), nil
}

// isStart reports whether the file is the content or the start of it, which a copy
// that was interrupted leaves.
func isStart(f io.ReaderAt, size int64, content []byte) (bool, error) {
	if size > int64(len(content)) {
		return false, nil
	}
	is, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	return bytes.HasPrefix(content, is), err
}

// isPlugin reports whether a program is our plugin, of any version.
func isPlugin(program io.ReaderAt) bool {
	info, err := buildinfo.Read(program)
	return err == nil && info.Path == pluginPath
}

// checkIsPlugin says that a file is not our plugin, or that it cannot be seen.
func checkIsPlugin(path string) error {
	f, err := input.Open(path)
	if err != nil {
		return fmt.Errorf("%s is not the plugin bpffs: %w", path, err)
	}
	defer f.Close()
	if !isPlugin(f) {
		return fmt.Errorf("%s is not the plugin bpffs", path)
	}
	return nil
}

func moveAway(path string) string { return output.Command("mv", path, path+".other") }
