using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace TorchSharp.Native;

/// <summary>A value as it crosses the ABI: a tag, a count for lists, and 64 bits of number or pointer.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct Value
{
    internal int Tag;
    internal int Count;
    internal long Bits;
}

internal static class Tag
{
    internal const int None = 0, Tensor = 1, Int = 2, Double = 3, Bool = 4, Ints = 5, Tensors = 6, Text = 7, OptionalTensors = 8,
        Device = 9, Generator = 10, Doubles = 11;
}

/// <summary>
/// An argument of an operator call. It lives on the caller's stack and keeps the managed object behind it alive for
/// the length of the call, so that no finalizer frees a tensor while libtorch reads it.
/// </summary>
internal readonly struct Arg
{
    internal readonly object? Object;
    internal readonly long Bits;
    internal readonly int Tag;

    private Arg(int tag, long bits, object? o = null)
    {
        Tag = tag;
        Bits = bits;
        Object = o;
    }

    internal static Arg None => default;

    public static implicit operator Arg(torch.Tensor? t) => t is null ? default : new(Native.Tag.Tensor, t.Handle, t);
    public static implicit operator Arg(int v) => new(Native.Tag.Int, v);
    public static implicit operator Arg(long v) => new(Native.Tag.Int, v);
    public static implicit operator Arg(long? v) => v is { } x ? new(Native.Tag.Int, x) : default;
    public static implicit operator Arg(double v) => new(Native.Tag.Double, BitConverter.DoubleToInt64Bits(v));
    public static implicit operator Arg(double? v) => v is { } x ? x : default(Arg);
    public static implicit operator Arg(bool v) => new(Native.Tag.Bool, v ? 1 : 0);
    public static implicit operator Arg(string v) => new(Native.Tag.Text, 0, v);
    public static implicit operator Arg(torch.ScalarType v) => new(Native.Tag.Int, (long)v);
    public static implicit operator Arg(torch.ScalarType? v) => v is { } x ? new(Native.Tag.Int, (long)x) : default;
    public static implicit operator Arg(torch.Device? v) => v is null ? default : new(Native.Tag.Device, v.Packed);
    public static implicit operator Arg(torch.Generator? v) => v is null ? default : new(Native.Tag.Generator, v.Handle, v);
    public static implicit operator Arg(long[]? v) => v is null ? default : new(Native.Tag.Ints, 0, v);
    public static implicit operator Arg(double[]? v) => v is null ? default : new(Native.Tag.Doubles, 0, v);
    public static implicit operator Arg(torch.Tensor[] v) => new(Native.Tag.Tensors, 0, v);
    public static implicit operator Arg(Scalar? v) => v is null ? default : new(v.Tag, v.Bits);

    internal static Arg Optional(torch.Tensor?[] tensors) => new(Native.Tag.OptionalTensors, 0, tensors);
}

/// <summary>
/// One operator of libtorch, looked up in its dispatcher by name and overload at the first call. Those in use are listed in the
/// folder Operators by what they do, as Ops.name_overload.
/// </summary>
internal sealed unsafe class Operator(string name, string overload = "")
{
    private nint handle;

    internal nint Handle => handle != 0 ? handle : Find();

    internal bool Exists => handle != 0 || Lookup() != 0;

    private nint Lookup()
    {
        fixed (byte* n = Encoding.UTF8.GetBytes("aten::" + name + "\0"), o = Encoding.UTF8.GetBytes(overload + "\0"))
            return handle = Library.FindOperator(n, o);
    }

    private nint Find() => Lookup() is var found and not 0 ? found : throw new NotSupportedException(
        $"This libtorch ({torch.__version__}) has no operator {name}{(overload.Length > 0 ? "." + overload : "")}; a newer libtorch has it (set LIBTORCH).");
}

internal static unsafe class Calls
{
    private const int OnStack = 48;

    /// <summary>Calls an operator and writes at most <paramref name="results"/>.Length results.</summary>
    [SkipLocalsInit]
    internal static int Invoke(Operator op, ReadOnlySpan<Arg> args, Span<Value> results)
    {
        var values = stackalloc Value[args.Length];
        var scratch = stackalloc long[OnStack];
        int used = 0;
        nint owned = 0;
        for (int k = 0; k < args.Length; k++)
        {
            ref readonly var a = ref args[k];
            values[k].Tag = a.Tag;
            values[k].Count = 0;
            values[k].Bits = a.Bits;
            if (a.Tag is >= Tag.Ints and <= Tag.OptionalTensors or Tag.Doubles)
            {
                long* room = Room(Length(a), scratch, ref used, ref owned);
                values[k].Bits = (long)room;
                values[k].Count = Copy(a, room);
            }
        }

        int count;
        fixed (Value* r = results) count = Library.Call(op.Handle, values, args.Length, r, results.Length);
        while (owned != 0)
        {
            nint next = *(nint*)owned;
            NativeMemory.Free((void*)owned);
            owned = next;
        }
        for (int k = 0; k < args.Length; k++) GC.KeepAlive(args[k].Object);
        if (count < 0) Library.Throw();
        return count;
    }

    private static int Length(in Arg a) => a.Tag switch
    {
        Tag.Text => (Encoding.UTF8.GetMaxByteCount(((string)a.Object!).Length) + 7) / 8,
        _ => ((Array)a.Object!).Length,
    };

    private static long* Room(int longs, long* scratch, ref int used, ref nint owned)
    {
        if (used + longs <= OnStack)
        {
            used += longs;
            return scratch + used - longs;
        }
        var block = (nint*)NativeMemory.Alloc((nuint)(longs + 1) * sizeof(long));
        *block = owned;
        owned = (nint)block;
        return (long*)(block + 1);
    }

    private static int Copy(in Arg a, long* room)
    {
        switch (a.Object)
        {
            case long[] ints:
                for (int k = 0; k < ints.Length; k++) room[k] = ints[k];
                return ints.Length;
            case double[] doubles:
                for (int k = 0; k < doubles.Length; k++) ((double*)room)[k] = doubles[k];
                return doubles.Length;
            case string text:
                return Encoding.UTF8.GetBytes(text, new Span<byte>(room, Encoding.UTF8.GetMaxByteCount(text.Length)));
            case torch.Tensor?[] tensors:
                for (int k = 0; k < tensors.Length; k++) room[k] = tensors[k] is { } t ? t.Handle : 0;
                return tensors.Length;
            default:
                throw new ArgumentException($"An argument of type {a.Object?.GetType().Name ?? "null"} cannot be passed to libtorch.");
        }
    }

    /// <summary>Calls an operator with one tensor as its result.</summary>
    [SkipLocalsInit]
    internal static torch.Tensor Call(Operator op, params ReadOnlySpan<Arg> args)
    {
        Unsafe.SkipInit(out Value r);
        Invoke(op, args, new Span<Value>(ref r));
        return new torch.Tensor((nint)r.Bits);
    }

    internal static void CallVoid(Operator op, params ReadOnlySpan<Arg> args)
    {
        Span<Value> r = stackalloc Value[4];
        int count = Invoke(op, args, r);
        for (int k = 0; k < count; k++)
        {
            if (r[k].Tag == Tag.Tensor && r[k].Bits != 0) Library.Release((nint)r[k].Bits);
            else if (r[k].Tag == Tag.Tensors) foreach (var t in Take(r[k])) t.Dispose();
        }
    }

    internal static (torch.Tensor, torch.Tensor) Call2(Operator op, params ReadOnlySpan<Arg> args)
    {
        Span<Value> r = stackalloc Value[2];
        Invoke(op, args, r);
        return (new torch.Tensor((nint)r[0].Bits), new torch.Tensor((nint)r[1].Bits));
    }

    internal static (torch.Tensor, torch.Tensor, torch.Tensor) Call3(Operator op, params ReadOnlySpan<Arg> args)
    {
        Span<Value> r = stackalloc Value[3];
        Invoke(op, args, r);
        return (new torch.Tensor((nint)r[0].Bits), new torch.Tensor((nint)r[1].Bits), new torch.Tensor((nint)r[2].Bits));
    }

    internal static torch.Tensor[] CallList(Operator op, params ReadOnlySpan<Arg> args)
    {
        Span<Value> r = stackalloc Value[1];
        Invoke(op, args, r);
        return Take(r[0]);
    }

    internal static bool CallBool(Operator op, params ReadOnlySpan<Arg> args)
    {
        Span<Value> r = stackalloc Value[1];
        Invoke(op, args, r);
        return r[0].Bits != 0;
    }

    private static torch.Tensor[] Take(in Value v)
    {
        var tensors = new torch.Tensor[v.Count];
        var pointers = (nint*)v.Bits;
        for (int k = 0; k < tensors.Length; k++) tensors[k] = new torch.Tensor(pointers[k]);
        Library.FreeArray((nint)v.Bits);
        return tensors;
    }
}
