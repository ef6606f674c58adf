package cnidirs

import (
	"fmt"
	"os"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// Make makes the directories that are missing, if the runtime says that it looks
// there, or if it answered and says nothing of directories. What it does not make
// it names, with what to type: an error for that of plugins, a line in the log for
// that of networks, which the main plugin may make.
func (d Dirs) Make(log func(format string, args ...any)) error {
	if bin := d.Target(); missing(bin) {
		if !d.mayMake(bin, d.BinFrom, d.Runtime.Status.Dirs.Bin) {
			return fmt.Errorf("the directory %s for plugins does not exist, and no runtime says that it looks there: %s, or give the runtime's directory with --bin-dir",
				bin, output.Command("mkdir", "-p", bin))
		}
		if err := makeDir(bin, log); err != nil {
			return err
		}
	}
	if !missing(d.Conf) {
		return nil
	}
	if !d.mayMake(d.Conf, d.ConfFrom, d.Runtime.Status.Dirs.Conf) {
		log("the directory %s for networks does not exist yet, and no runtime says that it looks there: %s, or give the runtime's directory with --conf-dir",
			d.Conf, output.Command("mkdir", "-p", d.Conf))
		return nil
	}
	return makeDir(d.Conf, log)
}

// mayMake reports whether a directory that is missing here is missing for the
// runtime, which looks there.
func (d Dirs) mayMake(dir string, from Source, said []string) bool {
	if from == Assumed && d.Runtime.Version.Runtime != "" {
		said = []string{dir}
	}
	is, known := d.Runtime.isRuntimes(dir, said)
	return is && known
}

func makeDir(path string, log func(format string, args ...any)) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	log("created %s", path)
	return nil
}
