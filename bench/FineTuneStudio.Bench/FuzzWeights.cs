using System.Diagnostics;
using System.Globalization;
using FineTuneStudio.Engine.Text;
using FineTuneStudio.Engine.Weights;

namespace FineTuneStudio.Bench;

/// <summary>How a fuzzing run went; <paramref name="Finding"/> is null where every broken file was refused with a sentence or read.</summary>
sealed record FuzzResult(string Kind, int Seed, TimeSpan Took, long Executions, long Refused, string? Finding);

/// <summary>
/// Changes sound files at random and opens them. A finding is any exception but a refusal, an opening of more than five seconds, or of
/// more than a gigabyte. The same seed makes the same files; the file of a finding stays in the folder.
/// </summary>
sealed class FuzzWeights
{
    public static readonly string[] Kinds = ["safetensors", "index", "bin", "bin-index", "tokenizer"];
    const long MaxGrowth = 1L << 30;
    static readonly TimeSpan Hang = TimeSpan.FromSeconds(5);

    readonly string kind, folder, target;
    readonly Random random;
    readonly byte[] sound;
    readonly byte[][] words;
    readonly CheckpointTensor[] tensors;
    long executions, refused, startedAt;
    string? finding;

    FuzzWeights(string kind, int seed, string folder)
    {
        (this.kind, this.folder, random) = (kind, folder, new Random(seed));
        byte[] numbers = [.. Enumerable.Range(0, 24).SelectMany(i => BitConverter.GetBytes((float)i))];
        tensors = [new("embeddings.weight", "FloatStorage", [6, 4], numbers), new("tied.weight", "FloatStorage", [4, 6], numbers, [1, 4], 0, "0"), new("half", "HalfStorage", [2, 3], new byte[12]), new("count", "LongStorage", [], new byte[8])];
        target = kind switch { "safetensors" => ModelWeights.SingleFile, "index" => ModelWeights.IndexFile, "bin" => ModelWeights.TorchFile, "bin-index" => ModelWeights.TorchIndexFile, _ => "tokenizer.json" };
        (string Name, string Dtype, long[] Shape, Func<ReadOnlyMemory<byte>> Data)[] safe = [("a", "F32", [6, 4], () => numbers), ("b", "BF16", [3], () => new byte[6]), ("c", "I64", [], () => new byte[8])];
        var file = Path.Combine(folder, target);
        switch (kind)
        {
            case "safetensors": SafetensorsWriter.Write(file, safe, new Dictionary<string, string> { ["format"] = "pt" }); break;
            case "index":
                SafetensorsWriter.Write(Path.Combine(folder, "model-1.safetensors"), safe[..2]);
                SafetensorsWriter.Write(Path.Combine(folder, "model-2.safetensors"), safe[2..]);
                File.WriteAllText(file, """{"metadata":{"total_size":110},"weight_map":{"a":"model-1.safetensors","b":"model-1.safetensors","c":"model-2.safetensors"}}""");
                break;
            case "bin": TorchCheckpointWriter.Write(file, tensors); break;
            case "bin-index":
                TorchCheckpointWriter.Write(Path.Combine(folder, "pytorch_model-1.bin"), tensors[..2]);
                TorchCheckpointWriter.Write(Path.Combine(folder, "pytorch_model-2.bin"), tensors[2..]);
                File.WriteAllText(file, """{"metadata":{"total_size":116},"weight_map":{"embeddings.weight":"pytorch_model-1.bin","tied.weight":"pytorch_model-1.bin","half":"pytorch_model-2.bin","count":"pytorch_model-2.bin"}}""");
                break;
            default: File.WriteAllText(file, TokenizerFile); break;
        }
        sound = File.ReadAllBytes(file);
        words = [.. (kind switch
        {
            "bin" => ["PK\x01\x02", "PK\x03\x04", "PK\x05\x06", "PK\x06\x06", "cposix\nsystem\n", "ctorch._utils\n_rebuild_tensor_v2\n", "ccollections\nOrderedDict\n", "ctorch\nFloatStorage\n", "X\u0001\0\0\0a", "(", ")", "R", "}", "]", "u", "s", "b", "t", "Q", "h\0", "h\u0001", "q\0", "."],
            "tokenizer" => ["null", "true", "-1", "0", "99999999999999999999", "1e308", "{}", "[]", "\"\"", "\"type\":\"BPE\"", "\"type\":\"Unigram\"", "\"type\":\"WordPiece\"", "\"ByteLevel\"", "\"Metaspace\"", "\"Sequence\"", "\\ud800", "\\u0000", "[UNK]", "\"Regex\":\"(\"", ","],
            _ => (string[])["null", "-1", "0", "9223372036854775807", "1e308", "{}", "[]", "\"\"", "\\ud800", "\\u0000", "../", "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin.index.json", "\"F64\"", "data_offsets", "shape", "[[[[[[[[", ","],
        }).Select(System.Text.Encoding.Latin1.GetBytes)];
    }

    const string TokenizerFile = """
        {"version":"1.0","truncation":null,"padding":null,
         "added_tokens":[{"id":0,"content":"[PAD]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},{"id":1,"content":"[UNK]","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},{"id":2,"content":"[CLS]","special":true},{"id":3,"content":"[SEP]","special":true}],
         "normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},
         "pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"BertPreTokenizer"},{"type":"Split","pattern":{"Regex":"\\d"},"behavior":"Isolated","invert":false}]},
         "post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"[CLS]":{"id":"[CLS]","ids":[2],"tokens":["[CLS]"]},"[SEP]":{"id":"[SEP]","ids":[3],"tokens":["[SEP]"]}}},
         "decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
         "model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"a":4,"##b":5,"hello":6,"1":7}}}
        """;

    /// <summary>Fuzzes one kind for a time and for <paramref name="atLeast"/> files, in a folder of its own under <paramref name="folder"/>.</summary>
    public static FuzzResult Run(string kind, TimeSpan time, int seed, string folder, int atLeast = 1)
    {
        Directory.CreateDirectory(folder);
        FuzzWeights fuzz = new(kind, seed, folder);
        var watch = Stopwatch.StartNew();
        Thread worker = new(() => fuzz.Loop(watch, time, atLeast)) { IsBackground = true, Name = "fuzz" };
        Volatile.Write(ref fuzz.startedAt, Stopwatch.GetTimestamp());
        worker.Start();
        while (!worker.Join(TimeSpan.FromMilliseconds(50)))
        {
            if (Stopwatch.GetElapsedTime(Volatile.Read(ref fuzz.startedAt)) <= Hang) continue;
            fuzz.finding ??= $"execution {fuzz.executions}: the file in {folder} takes more than {Hang.TotalSeconds:0} s";
            break;
        }
        return new(kind, seed, watch.Elapsed, fuzz.executions, fuzz.refused, fuzz.finding);
    }

    void Loop(Stopwatch watch, TimeSpan time, int atLeast)
    {
        var file = Path.Combine(folder, target);
        while ((watch.Elapsed < time || executions < atLeast) && finding is null)
        {
            File.WriteAllBytes(file, Changed());
            Volatile.Write(ref startedAt, Stopwatch.GetTimestamp());
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                Read();
            }
            catch (Exception refusal) when (refusal is WeightFileException or TokenizerFileException)
            {
                refused++;
                if (refusal.Message.Any(c => char.IsControl(c))) finding = $"execution {executions}: the sentence has control characters: {refusal.Message}";
            }
            catch (Exception e)
            {
                finding = $"execution {executions}: {e}";
            }
            if (GC.GetAllocatedBytesForCurrentThread() - before is > MaxGrowth and var grown) finding ??= $"execution {executions}: {grown} bytes were taken";
            executions++;
        }
    }

    void Read()
    {
        if (kind == "tokenizer")
        {
            var tokenizer = Tokenizer.Load(folder);
            foreach (var text in new[] { "Hello ab 1 [CLS] \u00e9\ud83d\ude00", "" }) tokenizer.Decode(tokenizer.Encode(text).Ids);
            return;
        }
        _ = ModelWeights.FilesOf(folder);
        using var weights = ModelWeights.Open(folder);
        long sum = 0;
        foreach (var name in weights.Entries.Keys)
            foreach (byte b in weights.Bytes(name)) sum += b;
        GC.KeepAlive(sum);
    }

    byte[] Changed()
    {
        // Half of the checkpoints get a sound archive around a changed list, else hardly any change would come past the zip.
        if (kind == "bin" && random.Next(2) == 0) return TorchCheckpointWriter.Archive(Changed(TorchCheckpointWriter.Pickle(tensors)), tensors, random.Next(4) == 0);
        // Likewise a safetensors header whose length is told rightly.
        if (kind == "safetensors" && random.Next(2) == 0)
        {
            int length = BitConverter.ToInt32(sound);
            var header = Changed(sound[8..(8 + length)]);
            return [.. BitConverter.GetBytes((long)header.Length), .. header, .. sound[(8 + length)..]];
        }
        return Changed(sound);
    }

    byte[] Changed(byte[] from)
    {
        List<byte> bytes = [.. from];
        for (int change = 1 + random.Next(random.Next(8) == 0 ? 40 : 4); change > 0 && bytes.Count > 0; change--)
        {
            int at = random.Next(bytes.Count), count = Math.Min(bytes.Count - at, 1 + random.Next(random.Next(2) == 0 ? 4 : 64));
            switch (random.Next(9))
            {
                case 0: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 1: bytes[at] = (byte)random.Next(256); break;
                case 2: bytes.RemoveRange(at, count); break;
                case 3: bytes.InsertRange(random.Next(bytes.Count), bytes.GetRange(at, count)); break;
                case 4: if (random.Next(4) == 0) bytes.RemoveRange(at, bytes.Count - at); break;
                case 5: for (int i = at, value = random.Next(2) * 255; i < at + count; i++) bytes[i] = (byte)value; break;
                case 6: bytes.InsertRange(at, words[random.Next(words.Length)]); break;
                case 7:
                    bytes.RemoveRange(at, count);
                    bytes.InsertRange(at, words[random.Next(words.Length)]);
                    break;
                default:
                    foreach (byte b in BitConverter.GetBytes(random.NextInt64(long.MinValue, long.MaxValue) >> random.Next(64)).Take(random.Next(1, 9)))
                        if (at < bytes.Count) bytes[at++] = b;
                    break;
            }
        }
        return [.. bytes];
    }

    /// <summary>fuzz-weights --kind K|all --minutes M --seed S</summary>
    public static int Command(string[] args)
    {
        string Option(string name, string otherwise) => Array.IndexOf(args, name) is >= 0 and var i && i + 1 < args.Length ? args[i + 1] : otherwise;
        string wanted = Option("--kind", "all");
        if ((wanted != "all" && !Kinds.Contains(wanted)) || !double.TryParse(Option("--minutes", "10"), CultureInfo.InvariantCulture, out double minutes) || !int.TryParse(Option("--seed", "1"), out int seed))
        {
            Console.Error.WriteLine($"fuzz-weights --kind {string.Join('|', Kinds)}|all --minutes 10 --seed 1");
            return 2;
        }
        bool failed = false;
        foreach (string kind in wanted == "all" ? Kinds : [wanted])
        {
            var result = Run(kind, TimeSpan.FromMinutes(minutes), seed, Path.Combine(Path.GetTempPath(), $"fuzz-weights-{kind}-{seed}-{Environment.ProcessId}"));
            Console.WriteLine($"{kind}, seed {seed}: {result.Took.TotalMinutes:0.0} minutes, {result.Executions:N0} files, {result.Refused:N0} refused with a sentence, {result.Executions - result.Refused:N0} read; {result.Finding ?? "no finding"}; peak {Process.GetCurrentProcess().PeakWorkingSet64 >> 20} MiB");
            failed |= result.Finding is not null;
        }
        return failed ? 1 : 0;
    }
}
