// Reads a shard of the audit log with golang.org/x/mod/sumdb, which is Go's own and not ours: the signed note of its
// checkpoint, its tiles and every record. Prints how many records are under the head; ends with 1 at whatever does not fit.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// C2SP names tiles without their height and calls the records entries; the rest of a path is that of sumdb.
type shard string

func (s shard) read(tile tlog.Tile) ([]byte, error) {
	path := strings.Replace(strings.Replace(tile.Path(), "tile/8/", "tile/", 1), "tile/data/", "tile/entries/", 1)
	return os.ReadFile(filepath.Join(string(s), path))
}

func (s shard) Height() int { return 8 }

func (s shard) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range tiles {
		data, err := s.read(tile)
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (s shard) SaveTiles([]tlog.Tile, [][]byte) {}

func (s shard) head() (tree tlog.Tree, err error) {
	keys, err := os.ReadFile(filepath.Join(string(s), "keys"))
	if err != nil {
		return tree, err
	}
	var known []note.Verifier
	for _, line := range strings.Fields(string(keys)) {
		if verifier, err := note.NewVerifier(line); err == nil { // it knows Ed25519 alone
			known = append(known, verifier)
		}
	}
	text, err := os.ReadFile(filepath.Join(string(s), "checkpoint"))
	if err != nil {
		return tree, err
	}
	signed, err := note.Open(text, note.VerifierList(known...))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != signed.Sigs[0].Name {
		return tree, fmt.Errorf("not a checkpoint of who has signed it")
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	copy(tree.Hash[:], root)
	return tree, err
}

// All records of a bundle are compared with their hashes, which the reader has proven to be under the head; of the last one the
// proof is made and checked as well.
func (s shard) checkBundle(tree tlog.Tree, reader tlog.HashReader, number int64) error {
	first, width := number*256, min(256, tree.N-number*256)
	data, err := s.read(tlog.Tile{H: 8, L: -1, N: number, W: int(width)})
	if err != nil {
		return err
	}
	var places []int64
	for index := first; index < first+width; index++ {
		places = append(places, tlog.StoredHashIndex(0, index))
	}
	found, err := reader.ReadHashes(places)
	if err != nil {
		return err
	}
	for at, hash := range found {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			return fmt.Errorf("record %d is cut off", first+int64(at))
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		if tlog.RecordHash(data[2:end]) != hash {
			return fmt.Errorf("record %d is another one", first+int64(at))
		}
		data = data[end:]
	}
	if len(data) > 0 {
		return fmt.Errorf("bundle %d has more than its records", number)
	}
	last := first + width - 1
	proof, err := tlog.ProveRecord(tree.N, last, reader)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, last, found[width-1])
}

func min(one, other int64) int64 {
	if one < other {
		return one
	}
	return other
}

func check(s shard) (int64, error) {
	tree, err := s.head()
	if err != nil {
		return 0, err
	}
	reader := tlog.TileHashReader(tree, s)
	for number := int64(0); number*256 < tree.N; number++ {
		if err := s.checkBundle(tree, reader, number); err != nil {
			return 0, err
		}
	}
	return tree.N, nil
}

func main() {
	count, err := check(shard(os.Args[1]))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(count)
}
