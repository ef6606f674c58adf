package conflist

import (
	"bytes"
	"encoding/json"
)

const space = " \t\r\n"

// gap returns the white space in front of an element: that after the first comma,
// or in a list of one plugin that after the bracket.
func (l List) gap(data []byte) []byte {
	if len(l.Plugins) == 1 {
		return data[l.open:l.Plugins[0].start]
	}
	between := data[l.Plugins[0].end:l.Plugins[1].start]
	_, after, _ := bytes.Cut(between, []byte(","))
	return after
}

// layOut returns the object in the layout of its neighbour: on one line, or
// indented in the same steps and with the same ends of lines.
func layOut(object, gap, neighbour []byte) []byte {
	var out bytes.Buffer
	prefix, step, ok := indentation(gap, neighbour)
	if !ok {
		_ = json.Compact(&out, object) // cannot fail: it was parsed before
		return out.Bytes()
	}
	_ = json.Indent(&out, bytes.Trim(object, space), prefix, step)
	if bytes.Contains(gap, []byte("\r\n")) {
		return bytes.ReplaceAll(out.Bytes(), []byte("\n"), []byte("\r\n"))
	}
	return out.Bytes()
}

// indentation returns what is in front of the neighbour's brace, and what its
// keys have in addition. It is not ok if the neighbour is on one line.
func indentation(gap, neighbour []byte) (prefix, step string, ok bool) {
	prefix = string(lastLine(gap))
	inner := bytes.TrimPrefix(neighbour, []byte("{"))
	blank := inner[:len(inner)-len(bytes.TrimLeft(inner, space))]
	if !bytes.Contains(blank, []byte("\n")) {
		return "", "", false
	}
	key := lastLine(blank)
	if step, ok := bytes.CutPrefix(key, []byte(prefix)); ok && len(step) > 0 {
		return prefix, string(step), true
	}
	return prefix, "  ", true
}

// lastLine returns what follows the last end of a line in blank.
func lastLine(blank []byte) []byte {
	return blank[bytes.LastIndexByte(blank, '\n')+1:]
}
