package db

// The Postgres that a full build has inside: its programs, which are unpacked once into the data folder and looked
// at before each start, and a folder of databases as initdb and the migrations make it.

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

type embeddedPostgres struct {
	version           string // such as 18.4
	sums              string // a line for each program file: its SHA-256, two spaces, its path
	programs, cluster []byte // archives, tar in zstd
}

// binaries returns where the programs lie, or will; ok is false where this program has none inside.
func (e *embeddedPostgres) binaries(dataDir string) (b Binaries, ok bool) {
	if e == nil {
		return Binaries{}, false
	}
	content := sha256.Sum256([]byte(e.sums))
	version := strings.TrimSpace(e.version)
	major, _, _ := strings.Cut(version, ".")
	number, err := strconv.Atoi(major)
	return Binaries{
		Dir:     filepath.Join(dataDir, "postgres-programs", hex.EncodeToString(content[:6]), "bin"),
		Version: version, Major: number, Source: "inside this program", embedded: true,
	}, err == nil
}

// install unpacks the programs where they are not there as they were packed. The caller holds the lock of the data
// folder.
func (e *embeddedPostgres) install(b Binaries) error {
	place := filepath.Dir(b.Dir)
	if strings.ContainsAny(place, ":;$") { // which mean something to the dynamic linker
		return fmt.Errorf("DATA_DIR %s has one of : ; $ in its name, and the Postgres inside this program does not start there: name another folder", filepath.Dir(filepath.Dir(place)))
	}
	if e.installed(place) {
		return nil
	}
	all := filepath.Dir(place)
	if err := os.RemoveAll(all); err != nil { // those of another version, or damaged ones
		return fmt.Errorf("remove former programs of Postgres: %w", err)
	}
	made := filepath.Join(all, "new")
	if err := os.MkdirAll(made, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(all, 0o755); err != nil { // whatever the umask
		return err
	}
	if err := unpack(e.programs, made, nil); err != nil {
		return fmt.Errorf("unpack the programs of Postgres: %w", err)
	}
	if !e.installed(made) {
		return fmt.Errorf("the programs of Postgres in %s are not what was packed", made)
	}
	// Nothing waits for the disk: what a machine that goes down leaves unwritten is noticed at the next start.
	return os.Rename(made, place)
}

// installed tells whether all program files are in a folder and unchanged.
func (e *embeddedPostgres) installed(dir string) bool {
	for line := range strings.Lines(e.sums) {
		sum, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if is, err := fileSum(filepath.Join(dir, path)); err != nil || is != sum {
			return false
		}
	}
	return true
}

// fileSum returns the SHA-256 of a file.
func fileSum(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// makeCluster makes databases in an empty folder that belongs to the account.
func (e *embeddedPostgres) makeCluster(dir string, a account) error {
	if err := unpack(e.cluster, dir, &a); err != nil {
		return fmt.Errorf("unpack the databases: %w", err)
	}
	if err := ownSystemIdentifier(dir); err != nil {
		return err
	}
	return syncFiles(dir)
}

// unpack writes the files of an archive into an empty folder, and gives them to the account unless it is nil.
func unpack(archive []byte, dir string, a *account) error {
	defer debug.FreeOSMemory() // which the site will not need again
	packed, err := zstd.NewReader(bytes.NewReader(archive), zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true))
	if err != nil {
		return err
	}
	defer packed.Close()
	for files := tar.NewReader(packed); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path := filepath.Join(dir, header.Name)
		switch header.Typeflag {
		case tar.TypeDir:
			if err := os.MkdirAll(path, 0o700); err != nil {
				return err
			}
		case tar.TypeReg:
			if err := writeFile(path, files); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s is neither a file nor a folder", header.Name)
		}
		if err := os.Chmod(path, header.FileInfo().Mode().Perm()); err != nil {
			return err
		}
		if a != nil {
			if err := chown(path, *a); err != nil {
				return err
			}
		}
	}
}

func writeFile(path string, content io.Reader) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// ownSystemIdentifier gives unpacked databases the number by which Postgres tells one installation's files from
// another's; initdb would have given them one. It stands at the beginning of the control file, whose data a checksum
// ends, and in the first page of each segment of the write-ahead log. The server must not have run on them yet.
func ownSystemIdentifier(cluster string) error {
	const control = "global/pg_control"
	path := filepath.Join(cluster, control)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	end := checksumIn(data)
	if end == 0 {
		return fmt.Errorf("%s does not hold its checksum", control)
	}
	former := binary.LittleEndian.Uint64(data)
	// As initdb makes it: the time in seconds and microseconds, and twelve more bits.
	now := time.Now()
	var random [2]byte
	rand.Read(random[:])
	own := uint64(now.Unix())<<32 | uint64(now.Nanosecond()/1000)<<12 | uint64(binary.LittleEndian.Uint16(random[:]))&0xfff

	segments, err := filepath.Glob(filepath.Join(cluster, "pg_wal", strings.Repeat("[0-9A-F]", 24)))
	if err != nil {
		return err
	}
	for _, segment := range segments {
		if err := changeIdentifier(segment, former, own); err != nil {
			return fmt.Errorf("change the identifier of %s: %w", filepath.Base(segment), err)
		}
	}
	binary.LittleEndian.PutUint64(data, own)
	binary.LittleEndian.PutUint32(data[end:], crc32.Checksum(data[:end], crc32.MakeTable(crc32.Castagnoli)))
	return os.WriteFile(path, data, 0o600)
}

// checksumIn returns where the checksum of a control file stands, which depends on the version, or 0.
func checksumIn(data []byte) int {
	for end := 128; end+4 <= min(len(data), 512); end += 4 {
		if binary.LittleEndian.Uint32(data[end:]) == crc32.Checksum(data[:end], crc32.MakeTable(crc32.Castagnoli)) {
			return end
		}
	}
	return 0
}

// changeIdentifier writes another identifier into the header of a segment's first page.
func changeIdentifier(segment string, former, own uint64) error {
	const offset = 24 // after the header that every page has
	file, err := os.OpenFile(segment, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	var is [8]byte
	if _, err := file.ReadAt(is[:], offset); err != nil {
		return err
	}
	if binary.LittleEndian.Uint64(is[:]) != former {
		return errors.New("it is not where it was expected")
	}
	binary.LittleEndian.PutUint64(is[:], own)
	_, err = file.WriteAt(is[:], offset)
	return err
}
