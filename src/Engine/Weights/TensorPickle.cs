using System.Buffers.Binary;
using System.Text;

namespace FineTuneStudio.Engine.Weights;

/// <summary>What the pickle of a state dict says of one tensor: sizes, strides and offset in elements of its storage.</summary>
/// <param name="Storage">Name of the file's record with the numbers.</param>
/// <param name="StorageElements">Elements that the record is said to hold.</param>
internal sealed record PickledTensor(string Storage, string Dtype, long StorageElements, long Offset, long[] Shape, long[] Strides);

/// <summary>
/// Reads the pickle of a state dict as data: a machine of a stack and a memo that knows only the instructions which torch.save
/// writes for one (protocol 2), and only the six kinds of names below. It builds numbers, texts, tuples, dicts and descriptions of
/// tensors, calls nothing, and refuses every other instruction and every other name by saying which it is.
/// The instructions are described in Python's <c>pickletools</c>.
/// </summary>
internal ref struct TensorPickle
{
    public const int MaxBytes = 16_000_000;
    private const int MaxSteps = 1_000_000, MaxDimensions = 32, MaxText = 10_000;

    private static readonly Dictionary<string, string> Storages = new(StringComparer.Ordinal)
    {
        ["torch.FloatStorage"] = "F32", ["torch.DoubleStorage"] = "F64", ["torch.HalfStorage"] = "F16", ["torch.BFloat16Storage"] = "BF16",
        ["torch.LongStorage"] = "I64", ["torch.IntStorage"] = "I32", ["torch.ShortStorage"] = "I16", ["torch.CharStorage"] = "I8", ["torch.ByteStorage"] = "U8", ["torch.BoolStorage"] = "BOOL",
    };

    private const string RebuildTensor = "torch._utils._rebuild_tensor_v2", RebuildParameter = "torch._utils._rebuild_parameter", OrderedDict = "collections.OrderedDict";

    private sealed record Name(string Path);
    private sealed record Storage(string Record, string Dtype, long Elements);
    private sealed class Mark;
    private sealed class Dict
    {
        public readonly List<(object? Key, object? Value)> Items = [];
    }

    private static readonly Mark TheMark = new();

    private readonly ReadOnlySpan<byte> pickle;
    private readonly string file;
    private readonly List<object?> stack = [];
    private readonly Dictionary<int, object?> memo = [];
    private int at;

    private TensorPickle(ReadOnlySpan<byte> pickle, string file)
    {
        this.pickle = pickle;
        this.file = file;
    }

    /// <summary>The tensors of the state dict in the file's order.</summary>
    /// <exception cref="WeightFileException">The pickle is broken, or holds anything but tensors by name.</exception>
    public static List<(string Name, PickledTensor Tensor)> Read(ReadOnlySpan<byte> pickle, string file) => new TensorPickle(pickle, file).Run();

    private List<(string, PickledTensor)> Run()
    {
        for (int step = 0; step < MaxSteps; step++)
        {
            byte code = Take(1)[0];
            switch ((char)code)
            {
                case '\x80':
                    if (Take(1)[0] is not 2 and var protocol) throw Bad($"it is written in protocol {protocol}, and torch.save writes a state dict in protocol 2");
                    break;
                case '(': stack.Add(TheMark); break;
                case '}': stack.Add(new Dict()); break;
                case ']': stack.Add(new List<object?>()); break;
                case ')': stack.Add(Array.Empty<object?>()); break;
                case 'N': stack.Add(null); break;
                case '\x88': stack.Add(true); break;
                case '\x89': stack.Add(false); break;
                case 'K': stack.Add((long)Take(1)[0]); break;
                case 'M': stack.Add((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2))); break;
                case 'J': stack.Add((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4))); break;
                case '\x8a': stack.Add(Long()); break;
                case 'G': stack.Add(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); break;
                case 'X': stack.Add(Text()); break;
                case 'q': memo[Take(1)[0]] = Top(); break;
                case 'r': memo[BinaryPrimitives.ReadInt32LittleEndian(Take(4))] = Top(); break;
                case 'h': stack.Add(Remembered(Take(1)[0])); break;
                case 'j': stack.Add(Remembered(BinaryPrimitives.ReadInt32LittleEndian(Take(4)))); break;
                case 't': stack.Add(SinceMark()); break;
                case '\x85': Tuple(1); break;
                case '\x86': Tuple(2); break;
                case '\x87': Tuple(3); break;
                case 'c': stack.Add(Global()); break;
                case 'Q': stack.Add(StorageOf(Pop())); break;
                case 'R': Reduce(); break;
                case 'a': Append([Pop()]); break;
                case 'e': Append(SinceMark()); break;
                case 's': { var value = Pop(); SetItems([Pop(), value]); } break;
                case 'u': SetItems(SinceMark()); break;
                case 'b':
                    // A state dict carries the version numbers of its modules as an attribute; they name no tensor.
                    if (Pop() is not Dict || Top() is not Dict) throw Bad("it sets the attributes of something that is no dict");
                    break;
                case '.': return Tensors(Pop());
                default: throw Refused($"the pickle instruction {Instruction(code)}");
            }
        }
        throw Bad($"it has more than {MaxSteps} instructions");
    }

    private List<(string, PickledTensor)> Tensors(object? top)
    {
        if (top is not Dict dict) throw new WeightFileException($"{file} holds {Kind(top)} where a state dict, tensors by their names, was expected; save model.state_dict() instead.");
        List<(string, PickledTensor)> tensors = [];
        foreach (var (key, value) in dict.Items)
        {
            if (key is not string name) throw new WeightFileException($"{file} has a name that is {Kind(key)} in its state dict; names of tensors are texts.");
            tensors.Add((name, value as PickledTensor ?? throw new WeightFileException($"{file} holds {Kind(value)} under \"{SafetensorsHeader.Shown(name)}\", where a tensor was expected; save model.state_dict() alone, without anything around it.")));
        }
        return tensors;
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count < 0 || count > pickle.Length - at) throw Bad("it stops too early; the file was probably cut off, so copy or download it again");
        at += count;
        return pickle.Slice(at - count, count);
    }

    private object? Pop()
    {
        var top = Top();
        stack.RemoveAt(stack.Count - 1);
        return top;
    }

    private readonly object? Top() => stack.Count == 0 || stack[^1] is Mark ? throw Bad("an instruction finds nothing to work on") : stack[^1];

    private readonly object? Remembered(int number) => memo.TryGetValue(number, out var value) ? value : throw Bad($"it recalls number {number}, which it never kept");

    private readonly object?[] SinceMark()
    {
        int mark = stack.LastIndexOf(TheMark);
        if (mark < 0) throw Bad("it ends a list that it never began");
        object?[] items = [.. stack.GetRange(mark + 1, stack.Count - mark - 1)];
        stack.RemoveRange(mark, stack.Count - mark);
        return items;
    }

    private void Tuple(int count)
    {
        var items = new object?[count];
        for (int i = count - 1; i >= 0; i--) items[i] = Pop();
        stack.Add(items);
    }

    private long Long()
    {
        int length = Take(1)[0];
        if (length > 8) throw Bad($"it holds a number of {length} bytes; sizes have at most 8");
        long value = 0;
        var bytes = Take(length);
        for (int i = length - 1; i >= 0; i--) value = value << 8 | (i == length - 1 ? (sbyte)bytes[i] : bytes[i]);
        return value;
    }

    private string Text()
    {
        int length = BinaryPrimitives.ReadInt32LittleEndian(Take(4));
        if (length is < 0 or > MaxText) throw Bad($"it holds a text of {(uint)length} bytes; names have at most {MaxText}");
        return Encoding.UTF8.GetString(Take(length));
    }

    private string Line()
    {
        int length = pickle[at..].IndexOf((byte)'\n');
        if (length is < 0 or > MaxText) throw Bad("a name in it has no end");
        var line = Encoding.UTF8.GetString(Take(length));
        at++;
        return line;
    }

    private Name Global()
    {
        var path = $"{Line()}.{Line()}";
        return path is RebuildTensor or RebuildParameter or OrderedDict || Storages.ContainsKey(path) ? new(path) : throw Refused(SafetensorsHeader.Shown(path));
    }

    private readonly Storage StorageOf(object? id) =>
        id is object?[] { Length: 5 } parts && parts[0] is "storage" && parts[1] is Name kind && Storages.TryGetValue(kind.Path, out var dtype) && parts[2] is string record && parts[3] is string && parts[4] is long and >= 0 and var elements
            ? new(record, dtype, elements)
            : throw Bad("it names a storage in an unknown way");

    private void Reduce()
    {
        var arguments = Pop() as object?[] ?? throw Bad("it calls something without a tuple of arguments");
        var name = Pop() as Name ?? throw Bad("it calls something that has no name");
        switch (name.Path)
        {
            case OrderedDict when arguments.Length == 0: stack.Add(new Dict()); break;
            case RebuildParameter when arguments is [PickledTensor tensor, ..]: stack.Add(tensor); break;
            case RebuildTensor when arguments is [Storage storage, long offset, object?[] sizes, object?[] strides, ..] && Numbers(sizes) is { } shape && Numbers(strides) is { } steps && steps.Length == shape.Length && offset >= 0:
                stack.Add(new PickledTensor(storage.Record, storage.Dtype, storage.Elements, offset, shape, steps));
                break;
            default: throw Bad($"it calls {name.Path} with arguments that torch.save does not write");
        }
    }

    private static long[]? Numbers(object?[] values) => values.Length <= MaxDimensions && values.All(v => v is long and >= 0) ? [.. values.Select(v => (long)v!)] : null;

    private readonly void Append(object?[] items) => (Top() as List<object?> ?? throw Bad("it appends to something that is no list")).AddRange(items);

    private readonly void SetItems(object?[] items)
    {
        var dict = Top() as Dict ?? throw Bad("it sets items of something that is no dict");
        if (items.Length % 2 != 0) throw Bad("it sets a key without a value");
        for (int i = 0; i < items.Length; i += 2) dict.Items.Add((items[i], items[i + 1]));
    }

    private static string Kind(object? value) => value switch
    {
        null => "nothing", bool => "true or false", long or double => "a number", string => "a text", object?[] => "a tuple", List<object?> => "a list", Dict => "a dict",
        PickledTensor => "a tensor", Storage => "a storage", _ => "something else",
    };

    private static readonly Dictionary<char, string> Known = new()
    {
        ['i'] = "INST", ['o'] = "OBJ", ['\x81'] = "NEWOBJ", ['\x92'] = "NEWOBJ_EX", ['\x93'] = "STACK_GLOBAL", ['\x82'] = "EXT1", ['\x83'] = "EXT2", ['\x84'] = "EXT4", ['P'] = "PERSID",
        ['I'] = "INT", ['L'] = "LONG", ['\x8b'] = "LONG4", ['F'] = "FLOAT", ['S'] = "STRING", ['T'] = "BINSTRING", ['U'] = "SHORT_BINSTRING", ['V'] = "UNICODE", ['B'] = "BINBYTES", ['C'] = "SHORT_BINBYTES",
        ['\x8c'] = "SHORT_BINUNICODE", ['\x8d'] = "BINUNICODE8", ['\x8e'] = "BINBYTES8", ['d'] = "DICT", ['l'] = "LIST", ['g'] = "GET", ['p'] = "PUT", ['0'] = "POP", ['1'] = "POP_MARK", ['2'] = "DUP",
        ['\x8f'] = "EMPTY_SET", ['\x90'] = "ADDITEMS", ['\x91'] = "FROZENSET", ['\x94'] = "MEMOIZE", ['\x95'] = "FRAME", ['\x96'] = "BYTEARRAY8", ['\x97'] = "NEXT_BUFFER", ['\x98'] = "READONLY_BUFFER",
    };

    private static string Instruction(byte code) => Known.TryGetValue((char)code, out var name) ? name : $"0x{code:x2}";

    private readonly WeightFileException Bad(string why) => new($"{file}: the pickle with its list of tensors cannot be read: {why}.");

    private readonly WeightFileException Refused(string what) =>
        new($"{file} asks for {what}, which no state dict needs. Only tensors are read from such a file and no code in it is ever run, so it was refused; bring the weights as safetensors, or save model.state_dict() alone.");
}
