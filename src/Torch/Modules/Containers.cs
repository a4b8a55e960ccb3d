using System.Collections;
using static TorchSharp.torch;

namespace TorchSharp.Modules;

/// <summary>A list of modules under the names 0, 1, ... Fill it before the owner registers its components.</summary>
public class ModuleList<T> : nn.Module, IList<T> where T : nn.Module
{
    private readonly List<T> list = [];

    public ModuleList(params T[] modules) : base("ModuleList") => list.AddRange(modules);

    protected override void RegisterComponents()
    {
        ClearModules();
        for (int k = 0; k < list.Count; k++) register_module(k.ToString(System.Globalization.CultureInfo.InvariantCulture), list[k]);
    }

    public T this[int index]
    {
        get => list[index];
        set => list[index] = value;
    }

    public int Count => list.Count;
    public bool IsReadOnly => false;
    public void Add(T item) => list.Add(item);
    public void append(params T[] parameters) => list.AddRange(parameters);
    public void extend(IEnumerable<T> modules) => list.AddRange(modules);
    public void Insert(int index, T item) => list.Insert(index, item);
    public bool Remove(T item) => list.Remove(item);
    public void RemoveAt(int index) => list.RemoveAt(index);
    public void Clear() => list.Clear();
    public bool Contains(T item) => list.Contains(item);
    public int IndexOf(T item) => list.IndexOf(item);
    public void CopyTo(T[] array, int arrayIndex) => list.CopyTo(array, arrayIndex);
    public IEnumerator<T> GetEnumerator() => list.GetEnumerator();
    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>Modules one after another, each fed with the result of the one before, which is freed then.</summary>
public class Sequential : nn.Module<Tensor, Tensor>
{
    private readonly List<nn.Module<Tensor, Tensor>> steps = [];

    internal Sequential(IEnumerable<(string name, nn.Module<Tensor, Tensor> submodule)> modules) : base(nameof(Sequential))
    {
        foreach (var (label, module) in modules)
        {
            register_module(label, module);
            steps.Add(module);
        }
    }

    public int Count => steps.Count;

    public override Tensor forward(Tensor tensor)
    {
        if (steps.Count == 0) return tensor.alias();
        var result = steps[0].call(tensor);
        foreach (var step in steps.Skip(1))
        {
            var next = step.call(result);
            if (!ReferenceEquals(next, result)) result.Dispose();
            result = next;
        }
        return result;
    }
}
