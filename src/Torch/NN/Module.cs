using System.Reflection;
using TorchSharp.Modules;
using TorchSharp.Utils;

namespace TorchSharp;

public static partial class torch
{
    public static partial class nn
    {
        /// <summary>
        /// A part of a network: parameters, buffers and other modules under names. A subclass assigns its fields and calls
        /// <see cref="RegisterComponents"/> at the end of its constructor, which registers them under the fields' names.
        /// </summary>
        public class Module : IDisposable
        {
            private readonly List<(string name, Parameter parameter)> ownParameters = [];
            private readonly List<(string name, Tensor buffer, bool persistent)> ownBuffers = [];
            private readonly List<(string name, Module module)> ownModules = [];
            private bool registered;

            protected string name;

            protected Module(string name) => this.name = name;

            /// <summary>Whether dropout and its like are active; new modules are in training.</summary>
            public virtual bool training { get; private set; } = true;

            /// <summary>The name given to the constructor.</summary>
            public virtual string GetName() => name;

            /// <summary>Registers the fields that hold modules, parameters and (other tensors) buffers, those of base classes first. Lists are not looked into: use ModuleList.</summary>
            protected virtual void RegisterComponents()
            {
                if (registered) return;
                registered = true;
                var line = new Stack<Type>();
                for (var t = GetType(); t is not null && t != typeof(Module); t = t.BaseType) line.Push(t);
                foreach (var type in line)
                foreach (var field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
                {
                    var label = field.GetCustomAttribute<ComponentNameAttribute>()?.Name ?? field.Name;
                    if (Has(label)) continue;
                    switch (field.GetValue(this))
                    {
                        case Module m: register_module(label, m); break;
                        case Parameter p: register_parameter(label, p); break;
                        case Tensor t: register_buffer(label, t); break;
                    }
                }
            }

            private bool Has(string label) => ownModules.Exists(m => m.name == label) || ownParameters.Exists(p => p.name == label) || ownBuffers.Exists(b => b.name == label);

            /// <exception cref="ArgumentException">The name has a dot or is empty.</exception>
            /// <exception cref="InvalidOperationException">The name is taken.</exception>
            public virtual void register_module(string name, Module submodule)
            {
                CheckName(name);
                submodule.RegisterComponents();
                ownModules.Add((name, submodule));
            }

            public void add_module(string name, Module module) => register_module(name, module);

            /// <summary>The parameter leaves its dispose scope: the module frees it.</summary>
            public virtual void register_parameter(string name, Parameter param)
            {
                CheckName(name);
                param.DetachFromDisposeScope();
                ownParameters.Add((name, param));
            }

            /// <summary>A tensor that belongs to the module and is not trained; persistent ones are part of the state.</summary>
            public virtual void register_buffer(string name, Tensor tensor, bool persistent = true)
            {
                CheckName(name);
                tensor.DetachFromDisposeScope();
                ownBuffers.Add((name, tensor, persistent));
            }

            private void CheckName(string label)
            {
                if (string.IsNullOrEmpty(label) || label.Contains('.')) throw new ArgumentException($"'{label}' is not a name for a part of a module: it must not be empty or contain a dot.");
                if (Has(label)) throw new InvalidOperationException($"The module {name} already has a part named '{label}'.");
            }

            private protected void Forget(string label)
            {
                ownModules.RemoveAll(m => m.name == label);
                ownParameters.RemoveAll(p => p.name == label);
                ownBuffers.RemoveAll(b => b.name == label);
            }

            protected void ClearModules() => ownModules.Clear();

            public virtual IEnumerable<(string name, Parameter parameter)> named_parameters(bool recurse = true) => Distinct(AllParameters(recurse, ""));

            public virtual IEnumerable<Parameter> parameters(bool recurse = true) => named_parameters(recurse).Select(p => p.parameter);

            public virtual IEnumerable<(string name, Tensor buffer)> named_buffers(bool recurse = true, bool include_nonpersistent = true) =>
                Distinct(AllBuffers(recurse, "", include_nonpersistent));

            public virtual IEnumerable<Tensor> buffers(bool recurse = true, bool include_nonpersistent = true) => named_buffers(recurse, include_nonpersistent).Select(b => b.buffer);

            public virtual IEnumerable<(string name, Module module)> named_children() => ownModules;

            public virtual IEnumerable<Module> children() => ownModules.Select(m => m.module);

            /// <summary>The children, then what is below each, under dotted names; not this module itself.</summary>
            public virtual IEnumerable<(string name, Module module)> named_modules()
            {
                foreach (var child in ownModules) yield return child;
                foreach (var (prefix, child) in ownModules)
                foreach (var (rest, module) in child.named_modules())
                    yield return ($"{prefix}.{rest}", module);
            }

            public virtual IEnumerable<Module> modules() => named_modules().Select(m => m.module);

            private IEnumerable<(string, Parameter)> AllParameters(bool recurse, string prefix)
            {
                foreach (var (n, p) in ownParameters) yield return (prefix + n, p);
                if (!recurse) yield break;
                foreach (var (n, m) in ownModules)
                foreach (var found in m.AllParameters(true, $"{prefix}{n}."))
                    yield return found;
            }

            private IEnumerable<(string, Tensor)> AllBuffers(bool recurse, string prefix, bool nonpersistent)
            {
                foreach (var (n, b, persistent) in ownBuffers)
                    if (persistent || nonpersistent) yield return (prefix + n, b);
                if (!recurse) yield break;
                foreach (var (n, m) in ownModules)
                foreach (var found in m.AllBuffers(true, $"{prefix}{n}.", nonpersistent))
                    yield return found;
            }

            // A tensor that is shared by several parts is listed once, under its first name.
            private static IEnumerable<(string, T)> Distinct<T>(IEnumerable<(string, T)> all) where T : Tensor
            {
                var seen = new HashSet<nint>();
                foreach (var (n, t) in all)
                    if (seen.Add(t.Handle)) yield return (n, t);
            }

            /// <summary>The parameter of a dotted name, or null.</summary>
            public virtual Parameter? get_parameter(string target) => AllParameters(true, "").FirstOrDefault(p => p.Item1 == target).Item2;

            public virtual Tensor? get_buffer(string target) => AllBuffers(true, "", true).FirstOrDefault(b => b.Item1 == target).Item2;
            public virtual bool has_parameter(string target) => get_parameter(target) is not null;
            public virtual bool has_buffer(string target) => get_buffer(target) is not null;

            public virtual void train(bool train = true)
            {
                training = train;
                foreach (var (_, m) in ownModules) m.train(train);
            }

            public virtual void eval() => train(false);

            /// <summary>Runs <paramref name="fn"/> on the children first, then on this module, and returns it.</summary>
            public virtual Module apply(Action<Module> fn)
            {
                foreach (var (_, m) in ownModules) m.apply(fn);
                fn(this);
                return this;
            }

            /// <summary>Drops the gradients, or zeroes them in place.</summary>
            public virtual void zero_grad(bool set_to_none = true)
            {
                foreach (var p in parameters())
                {
                    if (set_to_none)
                    {
                        p.grad = null;
                        continue;
                    }
                    using var scope = NewDisposeScope();
                    using var quiet = no_grad();
                    p.grad?.zero_();
                }
            }

            /// <summary>The live tensors by dotted name: parameters of all levels first, then persistent buffers.</summary>
            public virtual Dictionary<string, Tensor> state_dict(Dictionary<string, Tensor>? destination = null, string? prefix = null)
            {
                destination ??= [];
                string start = string.IsNullOrEmpty(prefix) ? "" : prefix + ".";
                foreach (var (n, p) in AllParameters(true, start)) destination.TryAdd(n, p);
                foreach (var (n, b) in AllBuffers(true, start, false)) destination.TryAdd(n, b);
                return destination;
            }

            /// <summary>Copies values into the parameters and buffers of the same names, converting dtypes.</summary>
            /// <exception cref="InvalidOperationException">Strict, and names are missing or unknown; the message lists them.</exception>
            public virtual (IList<string> missing_keys, IList<string> unexpected_keyes) load_state_dict(Dictionary<string, Tensor> source, bool strict = true, IList<string>? skip = null)
            {
                var state = state_dict();
                var passed = skip ?? [];
                var missing = state.Keys.Where(k => !source.ContainsKey(k) && !passed.Contains(k)).ToList();
                var unexpected = source.Keys.Where(k => !state.ContainsKey(k) && !passed.Contains(k)).ToList();
                if (strict && (missing.Count > 0 || unexpected.Count > 0))
                    throw new InvalidOperationException($"The state does not fit the module. Missing: {Some(missing)}. Unexpected: {Some(unexpected)}.");
                using var quiet = no_grad();
                using var scope = NewDisposeScope();
                foreach (var (key, target) in state)
                {
                    if (passed.Contains(key) || !source.TryGetValue(key, out var value)) continue;
                    if (!target.shape.AsSpan().SequenceEqual(value.shape))
                        throw new ArgumentException($"The shape of {key} does not fit: the module has [{string.Join(", ", target.shape)}], the state [{string.Join(", ", value.shape)}].");
                    target.copy_(value);
                }
                return (missing, unexpected);
            }

            private static string Some(List<string> names) => names.Count == 0 ? "none" : string.Join(", ", names.Take(8)) + (names.Count > 8 ? $" and {names.Count - 8} more" : "");

            // The objects stay the same, their data is replaced: an optimizer that holds them goes on working.
            internal void Convert(ScalarType? dtype, Device? device)
            {
                using var quiet = no_grad();
                using var scope = NewDisposeScope();
                foreach (var t in AllParameters(true, "").Select(p => (Tensor)p.Item2).Concat(AllBuffers(true, "", true).Select(b => b.Item2)).DistinctBy(t => t.Handle).ToList())
                {
                    var type = dtype is { } wanted && (t.is_floating_point() || t.is_complex()) ? wanted : t.dtype;
                    var place = device ?? t.device;
                    if (type == t.dtype && place.Packed == t.device.Packed) continue;
                    var gradient = t.grad?.to(type, place);
                    t.grad = null;
                    t.SetData(t.detach().to(type, place));
                    t.grad = gradient;
                }
            }

            protected static (Device device, ScalarType dtype) GetDefaultDeviceAndType(Device? device = null, ScalarType? dtype = null) =>
                (device ?? get_default_device(), dtype ?? get_default_dtype());

            public void Dispose()
            {
                Dispose(true);
                GC.SuppressFinalize(this);
            }

            /// <summary>Frees the parameters, buffers and children.</summary>
            protected virtual void Dispose(bool disposing)
            {
                if (!disposing) return;
                foreach (var (_, p) in ownParameters) p.Dispose();
                foreach (var (_, b, _) in ownBuffers) b.Dispose();
                foreach (var (_, m) in ownModules) m.Dispose();
            }
        }
    }
}

public static class ModuleExtensionMethods
{
    /// <summary>Moves or converts every parameter and buffer in place (integer buffers keep their dtype) and returns the module.</summary>
    public static T to<T>(this T module, torch.Device device, bool non_blocking = false) where T : torch.nn.Module => Converted(module, null, device);

    public static T to<T>(this T module, DeviceType deviceType, int deviceIndex = -1, bool non_blocking = false) where T : torch.nn.Module =>
        Converted(module, null, new torch.Device(deviceType, deviceIndex));

    /// <exception cref="ArgumentException">The dtype is not a floating-point one.</exception>
    public static T to<T>(this T module, torch.ScalarType type, bool non_blocking = false) where T : torch.nn.Module => Converted(module, type, null);

    public static T to<T>(this T module, torch.Device device, torch.ScalarType type, bool non_blocking = false) where T : torch.nn.Module => Converted(module, type, device);
    public static T to<T>(this T module, string device, bool non_blocking = false) where T : torch.nn.Module => Converted(module, null, new torch.Device(device));
    public static T to<T>(this T module, torch.Tensor other, bool non_blocking = false) where T : torch.nn.Module => Converted(module, other.dtype, other.device);
    public static T cpu<T>(this T module, bool non_blocking = false) where T : torch.nn.Module => Converted(module, null, torch.CPU);
    public static T cuda<T>(this T module, int deviceIndex = -1, bool non_blocking = false) where T : torch.nn.Module => Converted(module, null, new torch.Device(DeviceType.CUDA, deviceIndex));
    public static T half<T>(this T module, bool non_blocking = false) where T : torch.nn.Module => Converted(module, torch.ScalarType.Float16, null);
    public static T bfloat16<T>(this T module, bool non_blocking = false) where T : torch.nn.Module => Converted(module, torch.ScalarType.BFloat16, null);
    public static T @float<T>(this T module, bool non_blocking = false) where T : torch.nn.Module => Converted(module, torch.ScalarType.Float32, null);
    public static T @double<T>(this T module, bool non_blocking = false) where T : torch.nn.Module => Converted(module, torch.ScalarType.Float64, null);

    private static T Converted<T>(T module, torch.ScalarType? type, torch.Device? device) where T : torch.nn.Module
    {
        if (type is { } t and not (torch.ScalarType.Float16 or torch.ScalarType.BFloat16 or torch.ScalarType.Float32 or torch.ScalarType.Float64 or torch.ScalarType.ComplexFloat32 or torch.ScalarType.ComplexFloat64))
            throw new ArgumentException($"A module can be converted to a floating-point dtype only, not to {t}.");
        module.Convert(type, device);
        return module;
    }
}
