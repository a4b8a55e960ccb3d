using System.Buffers.Binary;
using System.Text;

namespace FineTuneStudio.Bench;

/// <summary>One tensor of a checkpoint to write; strides, offset and record default to a tensor of its own, row by row.</summary>
sealed record CheckpointTensor(string Name, string Storage, long[] Shape, byte[] Record, long[]? Strides = null, long Offset = 0, string? RecordName = null, long? Elements = null);

/// <summary>Writes files as torch.save(state_dict) lays them out, sound or broken on purpose, for tests and for the fuzzer.</summary>
static class TorchCheckpointWriter
{
    public static void Write(string path, params CheckpointTensor[] tensors) => File.WriteAllBytes(path, Archive(Pickle(tensors), tensors));

    public static byte[] Archive(byte[] pickle, CheckpointTensor[] tensors, bool zip64 = false) => Zip(
        [("archive/data.pkl", pickle), .. tensors.Select((t, i) => ($"archive/data/{t.RecordName ?? i.ToString()}", t.Record)).DistinctBy(e => e.Item1), ("archive/version", "3\n"u8.ToArray())], zip64);

    /// <summary>The list of tensors in protocol 2, as Python's pickler writes an OrderedDict with its _metadata.</summary>
    public static byte[] Pickle(IReadOnlyList<CheckpointTensor> tensors)
    {
        using MemoryStream pickle = new();
        void Code(params byte[] bytes) => pickle.Write(bytes);
        void Global(string module, string name) => Code([(byte)'c', .. Encoding.UTF8.GetBytes($"{module}\n{name}\n")]);
        void Text(string text)
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            Code([(byte)'X', .. BitConverter.GetBytes(bytes.Length), .. bytes]);
        }
        void Number(long value)
        {
            if (value is >= 0 and < 256) Code((byte)'K', (byte)value);
            else if (value is >= int.MinValue and <= int.MaxValue) Code([(byte)'J', .. BitConverter.GetBytes((int)value)]);
            else Code([0x8a, 8, .. BitConverter.GetBytes(value)]);
        }
        void Numbers(long[] values)
        {
            Code((byte)'(');
            foreach (long v in values) Number(v);
            Code((byte)'t');
        }

        Code(0x80, 2);
        Global("collections", "OrderedDict");
        Code((byte)'q', 0, (byte)')', (byte)'R', (byte)'q', 1, (byte)'(');
        for (int i = 0; i < tensors.Count; i++)
        {
            var t = tensors[i];
            Text(t.Name);
            Global("torch._utils", "_rebuild_tensor_v2");
            Code((byte)'(', (byte)'(');
            Text("storage");
            Global("torch", t.Storage);
            Text(t.RecordName ?? i.ToString());
            Text("cpu");
            Number(t.Elements ?? t.Record.Length / SizeOf(t.Storage));
            Code((byte)'t', (byte)'Q');
            Number(t.Offset);
            Numbers(t.Shape);
            Numbers(t.Strides ?? RowMajor(t.Shape));
            Code(0x89, (byte)'h', 0, (byte)')', (byte)'R', (byte)'t', (byte)'R');
        }
        Code((byte)'u', (byte)'}');
        Text("_metadata");
        Code((byte)'h', 0, (byte)')', (byte)'R', (byte)'s', (byte)'b', (byte)'.');
        return pickle.ToArray();
    }

    /// <summary>A zip of stored entries; with <paramref name="zip64"/> all sizes and places are in the 64-bit fields.</summary>
    public static byte[] Zip((string Name, byte[] Data)[] entries, bool zip64 = false)
    {
        using MemoryStream file = new(), list = new();
        foreach (var (name, data) in entries)
        {
            long at = file.Position;
            var (text, size) = (Encoding.UTF8.GetBytes(name), zip64 ? uint.MaxValue : (uint)data.Length);
            byte[] local = new byte[30];
            "PK\x03\x04"u8.CopyTo(local);
            BinaryPrimitives.WriteUInt32LittleEndian(local.AsSpan(18), (uint)data.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(local.AsSpan(22), (uint)data.Length);
            BinaryPrimitives.WriteUInt16LittleEndian(local.AsSpan(26), (ushort)text.Length);
            file.Write([.. local, .. text, .. data]);
            byte[] extra = zip64 ? [1, 0, 24, 0, .. BitConverter.GetBytes((long)data.Length), .. BitConverter.GetBytes((long)data.Length), .. BitConverter.GetBytes(at)] : [];
            byte[] central = new byte[46];
            "PK\x01\x02"u8.CopyTo(central);
            BinaryPrimitives.WriteUInt32LittleEndian(central.AsSpan(20), size);
            BinaryPrimitives.WriteUInt32LittleEndian(central.AsSpan(24), size);
            BinaryPrimitives.WriteUInt16LittleEndian(central.AsSpan(28), (ushort)text.Length);
            BinaryPrimitives.WriteUInt16LittleEndian(central.AsSpan(30), (ushort)extra.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(central.AsSpan(42), zip64 ? uint.MaxValue : (uint)at);
            list.Write([.. central, .. text, .. extra]);
        }
        long listAt = file.Position;
        file.Write(list.ToArray());
        if (zip64)
        {
            byte[] end64 = new byte[56];
            "PK\x06\x06"u8.CopyTo(end64);
            BinaryPrimitives.WriteInt64LittleEndian(end64.AsSpan(4), 44);
            BinaryPrimitives.WriteInt64LittleEndian(end64.AsSpan(24), entries.Length);
            BinaryPrimitives.WriteInt64LittleEndian(end64.AsSpan(32), entries.Length);
            BinaryPrimitives.WriteInt64LittleEndian(end64.AsSpan(40), list.Length);
            BinaryPrimitives.WriteInt64LittleEndian(end64.AsSpan(48), listAt);
            file.Write([.. end64, .. "PK\x06\x07"u8, 0, 0, 0, 0, .. BitConverter.GetBytes(listAt + list.Length), 1, 0, 0, 0]);
        }
        byte[] end = new byte[22];
        "PK\x05\x06"u8.CopyTo(end);
        BinaryPrimitives.WriteUInt16LittleEndian(end.AsSpan(8), zip64 ? ushort.MaxValue : (ushort)entries.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(end.AsSpan(10), zip64 ? ushort.MaxValue : (ushort)entries.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(end.AsSpan(12), zip64 ? uint.MaxValue : (uint)list.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(end.AsSpan(16), zip64 ? uint.MaxValue : (uint)listAt);
        file.Write(end);
        return file.ToArray();
    }

    static int SizeOf(string storage) => storage switch
    {
        "DoubleStorage" or "LongStorage" => 8, "FloatStorage" or "IntStorage" => 4, "HalfStorage" or "BFloat16Storage" or "ShortStorage" => 2, _ => 1,
    };

    static long[] RowMajor(long[] shape)
    {
        var strides = new long[shape.Length];
        long step = 1;
        for (int i = shape.Length - 1; i >= 0; i--) (strides[i], step) = (step, step * Math.Max(1, shape[i]));
        return strides;
    }
}
