// Reads a log that our publisher wrote, with Go's checksum database packages and with Tessera's fsck.
//
// usage: ledger_read DIR VERIFIER-KEY
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: ledger_read DIR VERIFIER-KEY")
		os.Exit(2)
	}
	if err := read(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(folder, key string) error {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return err
	}
	tree, err := sumdb(folder, verifier)
	if err != nil {
		return fmt.Errorf("golang.org/x/mod/sumdb: %w", err)
	}
	fetcher := client.FileFetcher{Root: folder}
	check := fsck.New(verifier.Name(), verifier, fetcher, leaves, fsck.Opts{N: 2})
	if err := check.Check(context.Background()); err != nil {
		return fmt.Errorf("tessera fsck: %w", err)
	}
	fmt.Printf("%d entries, root %s\n", tree.N, tree.Hash)
	return nil
}

func leaves(bundle []byte) ([][]byte, error) {
	var entries api.EntryBundle
	if err := entries.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	hashes := make([][]byte, 0, len(entries.Entries))
	for _, entry := range entries.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}

// The checkpoint's signature, inclusion of entries at both ends and in the middle, consistency with smaller trees.
func sumdb(folder string, verifier note.Verifier) (tlog.Tree, error) {
	var tree tlog.Tree
	text, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return tree, err
	}
	signed, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("not a checkpoint: %q", signed.Text)
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tree, fmt.Errorf("not a root: %q", lines[2])
	}
	copy(tree.Hash[:], root)
	reader := tlog.TileHashReader(tree, files{folder})
	for _, position := range []int64{0, tree.N / 2, tree.N - 1} {
		entry, err := entryAt(folder, tree.N, position)
		if err != nil {
			return tree, err
		}
		proof, err := tlog.ProveRecord(tree.N, position, reader)
		if err != nil {
			return tree, err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, position, tlog.RecordHash(entry)); err != nil {
			return tree, fmt.Errorf("entry %d: %w", position, err)
		}
	}
	for _, size := range []int64{1, 2, tree.N / 3, tree.N - 1} {
		if size < 1 || size > tree.N {
			continue
		}
		older, err := tlog.TreeHash(size, reader)
		if err != nil {
			return tree, err
		}
		proof, err := tlog.ProveTree(tree.N, size, reader)
		if err != nil {
			return tree, err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, size, older); err != nil {
			return tree, fmt.Errorf("size %d: %w", size, err)
		}
	}
	return tree, nil
}

func entryAt(folder string, size, position int64) ([]byte, error) {
	index := position / 256
	width := uint8(0)
	if (index+1)*256 > size {
		width = uint8(size % 256)
	}
	fetcher := client.FileFetcher{Root: folder}
	text, err := fetcher.ReadEntryBundle(context.Background(), uint64(index), width)
	if err != nil {
		return nil, err
	}
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(text); err != nil {
		return nil, err
	}
	return bytes.Clone(bundle.Entries[position%256]), nil
}

// Tiles by Go's names, found under those of C2SP: without the height.
type files struct{ folder string }

func (files) Height() int { return 8 }

func (f files) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		text, err := os.ReadFile(filepath.Join(f.folder, path))
		if err != nil {
			return nil, err
		}
		data = append(data, text)
	}
	return data, nil
}

func (files) SaveTiles([]tlog.Tile, [][]byte) {}
