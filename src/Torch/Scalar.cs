using TorchSharp.Native;

namespace TorchSharp;

/// <summary>A number as an argument: an integer, a floating-point number or a truth value; it does not promote a tensor's dtype within its kind.</summary>
public sealed class Scalar : IDisposable
{
    internal readonly int Tag;
    internal readonly long Bits;

    private Scalar(torch.ScalarType type, int tag, long bits)
    {
        Type = type;
        Tag = tag;
        Bits = bits;
    }

    /// <summary>Int64, Float64 or Bool.</summary>
    public torch.ScalarType Type { get; }

    internal static Scalar Of(long v) => new(torch.ScalarType.Int64, Native.Tag.Int, v);
    internal static Scalar Of(double v) => new(torch.ScalarType.Float64, Native.Tag.Double, BitConverter.DoubleToInt64Bits(v));

    public static implicit operator Scalar(byte value) => Of((long)value);
    public static implicit operator Scalar(sbyte value) => Of((long)value);
    public static implicit operator Scalar(short value) => Of((long)value);
    public static implicit operator Scalar(int value) => Of((long)value);
    public static implicit operator Scalar(long value) => Of(value);
    public static implicit operator Scalar(Half value) => Of((double)value);
    public static implicit operator Scalar(BFloat16 value) => Of((double)value.ToSingle());
    public static implicit operator Scalar(float value) => Of((double)value);
    public static implicit operator Scalar(double value) => Of(value);
    public static implicit operator Scalar(bool value) => new(torch.ScalarType.Bool, Native.Tag.Bool, value ? 1 : 0);

    /// <summary>Holds nothing native; kept so that code that disposes its scalars compiles.</summary>
    public void Dispose() => GC.SuppressFinalize(this);

    internal double AsDouble => Tag == Native.Tag.Double ? BitConverter.Int64BitsToDouble(Bits) : Bits;
    internal long AsLong => Tag == Native.Tag.Double ? (long)BitConverter.Int64BitsToDouble(Bits) : Bits;

    public override string ToString() => Tag == Native.Tag.Double
        ? AsDouble.ToString(System.Globalization.CultureInfo.InvariantCulture) : Tag == Native.Tag.Bool ? (Bits != 0).ToString() : Bits.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

public static class ScalarExtensionMethods
{
    public static bool ToBoolean(this Scalar value) => value.AsDouble != 0;
    public static byte ToByte(this Scalar value) => (byte)value.AsLong;
    public static sbyte ToSByte(this Scalar value) => (sbyte)value.AsLong;
    public static short ToInt16(this Scalar value) => (short)value.AsLong;
    public static int ToInt32(this Scalar value) => (int)value.AsLong;
    public static long ToInt64(this Scalar value) => value.AsLong;
    public static float ToSingle(this Scalar value) => (float)value.AsDouble;
    public static double ToDouble(this Scalar value) => value.AsDouble;
    public static Half ToHalf(this Scalar value) => (Half)value.AsDouble;
    public static Scalar ToScalar(this byte value) => value;
    public static Scalar ToScalar(this sbyte value) => value;
    public static Scalar ToScalar(this short value) => value;
    public static Scalar ToScalar(this int value) => value;
    public static Scalar ToScalar(this long value) => value;
    public static Scalar ToScalar(this float value) => value;
    public static Scalar ToScalar(this double value) => value;
    public static Scalar ToScalar(this bool value) => value;
    public static Scalar ToScalar(this Half value) => value;
    public static Scalar ToScalar(this BFloat16 value) => value;
}
