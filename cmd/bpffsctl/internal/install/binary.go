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
)

// pluginPath is what Go wrote into the plugin when it was built.
const pluginPath = "github.com/cni-bpffs/cni-bpffs/plugins/bpffs"

const binaryMode fs.FileMode = 0o755

// putBinary copies the plugin into the directory. One that is being executed goes
// on as it was.
func (in Installer) putBinary(d *dir) error {
	content, err := os.ReadFile(in.From)
	if err != nil {
		return err
	}
	path := d.join(conflist.PluginType)
	if err := mayReplace(path); err != nil {
		return err
	}
	fi, err := os.Stat(path)
	if err == nil && fi.Mode() == binaryMode && isMine(fi) && holds(path, content) {
		return nil
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

// isPlugin reports whether a file is our plugin, of any version.
func isPlugin(path string) bool {
	info, err := buildinfo.ReadFile(path)
	return err == nil && info.Path == pluginPath
}

// mayReplace refuses to overwrite a program that is not ours. Half of one, which
// a copy that was interrupted left, is nobody's.
func mayReplace(path string) error {
	start, err := readStart(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("move it away: %w", err)
	}
	_, err = buildinfo.ReadFile(path)
	if isPlugin(path) || len(start) == 0 || err != nil && bytes.HasPrefix(start, []byte("\x7fELF")) {
		return nil
	}
	return fmt.Errorf("%s is another program; move it away", path)
}

func readStart(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	start := make([]byte, 4)
	n, err := f.Read(start)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return start[:n], err
}
